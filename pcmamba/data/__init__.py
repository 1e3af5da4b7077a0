"""Data: files, sets, transforms and loaders."""

from pcmamba.data.readers import ReadError, read_points
from pcmamba.data.structures import CloudSet, PointCloud
from pcmamba.data.writers import write_npz, write_ply

__all__ = ["CloudSet", "PointCloud", "ReadError", "read_points", "write_npz", "write_ply"]

"""Data: files, sets, transforms and loaders."""

from pcmamba.data.event_set import EventSet
from pcmamba.data.event_writers import write_events
from pcmamba.data.events import Events
from pcmamba.data.readers import ReadError, read_points
from pcmamba.data.readers.events import read_events
from pcmamba.data.sample_mesh import sample_mesh
from pcmamba.data.structures import CloudSet, PointCloud
from pcmamba.data.writers import write_las, write_npz, write_ply

__all__ = [
    "CloudSet",
    "EventSet",
    "Events",
    "PointCloud",
    "ReadError",
    "read_events",
    "read_points",
    "sample_mesh",
    "write_events",
    "write_las",
    "write_npz",
    "write_ply",
]

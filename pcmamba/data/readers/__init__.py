"""Read a cloud from a file: one format a file, chosen by the extension, checked by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pcmamba.data.axes import check_up_axis
from pcmamba.data.readers import (  # noqa: F401  (they register readers)
    e57,
    h5,
    las,
    npy,
    npz,
    obj,
    off,
    pcd,
    ply,
    stl,
    text,
)
from pcmamba.data.readers.assemble import assemble
from pcmamba.data.readers.base import READERS, ReadError
from pcmamba.data.sample_mesh import sample_mesh
from pcmamba.data.structures import PointCloud

__all__ = ["READERS", "ReadError", "read_points"]

# The first bytes of formats that a wrong extension could hide.
_MAGIC = {
    b"ply\n": ".ply", b"ply\r": ".ply", b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz",
    b"\x89HDF\r\n\x1a\n": ".h5", b"ASTM-E57": ".e57", b"LASF": ".las", b"# .PCD": ".pcd",
}  # fmt: skip
_SAME = {".hdf5": ".h5", ".laz": ".las"}


def read_points(
    path: str | os.PathLike[str],
    *,
    up_axis: str | None = None,
    drop_invalid: bool = False,
    columns: Sequence[str] | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> PointCloud:
    """Read one cloud from a scanner's, a mesh's, a text or an array file.

    ply, pcd, las, laz, e57, obj, off, stl, xyz, txt, csv, pts, npy, npz, h5 and hdf5.

    Coordinates, order and frame stay as in the file, in float32: the same float32 points give the
    same bits from every format (text with 9 significant digits; las rounds). Far from zero, las and
    e57 coordinates are relative to the cloud's `origin`. Whatever is guessed or left out is
    told in `notes`.

    Args:
        path: The file; the extension, in any case, chooses the reader.
        up_axis: Axis that points up in the file, x, y or z, recorded in the cloud, whose method
            `z_up` then turns it. None: unknown.
        drop_invalid: Leave out points with NaN or infinite coordinates, and note their number.
        sample: Draw so many points from the faces of a mesh, by area and with normals, instead of
            its vertices.
        seed: Of that draw.
        columns: Names of the columns of a text file or an array ("x", "y", "z", "nx", "red",
            "intensity", "label", or any other name, kept as an attribute). None: the header, or a
            guess by their number and values, documented at `readers.columns.guess_columns`.

    Raises:
        FileNotFoundError: There is no such file.
        ReadError: The extension is unknown, or the file is empty, broken, truncated, of the wrong
            shape or without finite coordinates. It is a ValueError; the message names the file.
        ValueError: `up_axis` is no axis.
        ImportError: The format needs a package that is missing; the message says which.
    """
    path = Path(path)
    if up_axis is not None:
        check_up_axis(up_axis)
    if not path.exists():
        raise FileNotFoundError(f"path must be an existing file, got {path}")
    if path.is_dir():
        raise ReadError(f"{path}: path must be a file, got a folder; name the files in it")
    extension = path.suffix.lower()
    if extension not in READERS:
        raise ReadError(
            f"{path}: extension must be one of {', '.join(READERS)}, got {path.suffix or 'none'!r}"
        )
    try:
        data = path.read_bytes()
        _check_content(data, extension)
        raw = READERS[extension](data, columns)
        cloud = assemble(raw, str(path), up_axis, drop_invalid)
        return cloud if sample is None else sample_mesh(cloud, sample, seed)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error


def _check_content(data: bytes, extension: str) -> None:
    if not data.strip():
        raise ValueError("expected points, got an empty file")
    for magic, form in _MAGIC.items():
        if data.startswith(magic) and form != _SAME.get(extension, extension):
            raise ValueError(
                f"expected {extension[1:]}, got the content of a {form} file; rename it"
            )

"""Read a cloud from a file: one format a file, chosen by the extension, checked by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pcmamba.data.axes import check_up_axis
from pcmamba.data.readers import npy, npz, off, ply, text  # noqa: F401  (they register readers)
from pcmamba.data.readers.assemble import assemble
from pcmamba.data.readers.base import READERS, ReadError
from pcmamba.data.structures import PointCloud

__all__ = ["READERS", "ReadError", "read_points"]

# The first bytes of formats that a wrong extension could hide.
_MAGIC = {b"ply\n": ".ply", b"ply\r": ".ply", b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz"}


def read_points(
    path: str | os.PathLike[str],
    *,
    up_axis: str | None = None,
    drop_invalid: bool = False,
    columns: Sequence[str] | None = None,
) -> PointCloud:
    """Read one cloud from a ply, off, xyz, txt, csv, pts, npy or npz file.

    Coordinates, order and frame stay as in the file, in float32: the same float32 points give the
    same bits from every format (text with 9 significant digits). Whatever is guessed or left out is
    told in `notes`.

    Args:
        path: The file; the extension, in any case, chooses the reader.
        up_axis: Axis that points up in the file, x, y or z, recorded in the cloud, whose method
            `z_up` then turns it. None: unknown.
        drop_invalid: Leave out points with NaN or infinite coordinates, and note their number.
        columns: Names of the columns of a text file or an array ("x", "y", "z", "nx", "red",
            "intensity", "label", or any other name, kept as an attribute). None: the header, or a
            guess by their number and values, documented at `readers.columns.guess_columns`.

    Raises:
        FileNotFoundError: There is no such file.
        ReadError: The extension is unknown, or the file is empty, broken, truncated, of the wrong
            shape or without finite coordinates. It is a ValueError; the message names the file.
        ValueError: `up_axis` is no axis.
    """
    path = Path(path)
    if up_axis is not None:
        check_up_axis(up_axis)
    if not path.exists():
        raise FileNotFoundError(f"path must be an existing file, got {path}")
    extension = path.suffix.lower()
    if extension not in READERS:
        raise ReadError(
            f"{path}: extension must be one of {', '.join(READERS)}, got {path.suffix or 'none'!r}"
        )
    try:
        data = path.read_bytes()
        _check_content(data, extension)
        raw = READERS[extension](data, columns)
        return assemble(raw, str(path), up_axis, drop_invalid)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error


def _check_content(data: bytes, extension: str) -> None:
    if not data.strip():
        raise ValueError("expected points, got an empty file")
    for magic, form in _MAGIC.items():
        if data.startswith(magic) and form != extension:
            raise ValueError(
                f"expected {extension[1:]}, got the content of a {form} file; rename it"
            )

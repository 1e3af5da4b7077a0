"""Read a recording from a file: one format a file, chosen by extension, checked by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pcmamba.data.events import Events
from pcmamba.data.readers.base import ReadError
from pcmamba.data.readers.events import (  # noqa: F401  (they register readers)
    aedat,
    aedat4,
    bin,
    dat,
    h5,
    mat,
    npy,
    npz,
    raw,
    text,
)
from pcmamba.data.readers.events.assemble import assemble
from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, join_hw
from pcmamba.data.readers.events.cameras import camera_named
from pcmamba.data.readers.events.columns import parse_order
from pcmamba.data.readers.events.time_unit import T_UNITS
from pcmamba.registry import unknown_name

__all__ = ["EVENT_READERS", "read_events"]

# The first bytes of formats that a wrong extension could hide.
_MAGIC = {
    b"#!AER-DAT4": ".aedat4", b"#!AER-DAT": ".aedat", b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz",
    b"\x89HDF\r\n\x1a\n": ".h5", b"MATLAB 5.0 MAT-file": ".mat", b"ply\n": ".ply",
    b"ply\r": ".ply",
}  # fmt: skip
_SAME = {".hdf5": ".h5"}


def read_events(
    path: str | os.PathLike[str],
    *,
    order: str | Sequence[str] | None = None,
    t_unit: str | None = None,
    resolution_hw: tuple[int, int] | None = None,
    camera: str | None = None,
) -> Events:
    """Read one recording of an event camera.

    bin and bs2 (N-MNIST and N-Caltech101), aedat (2.0 and 3.1), aedat4, raw (EVT 2.0 and 3.0) and
    dat of Prophesee, h5, hdf5 and mat, npz, npy, csv and txt.

    Times become microseconds from the first event, sorted; polarity 1 is brighter. Events outside
    the sensor are left out if they are at most 1 %. Whatever is guessed, repaired or left out is
    told in `notes`.

    Args:
        path: The file; the extension, in any case, chooses the reader.
        order: Columns of an array or text without names: "xytp", "txyp", …, with "_" for a column
            to leave out. None: the order that alone fits the values.
        t_unit: "s", "ms", "us" or "ns", where the file does not tell. None: guessed, see
            `readers.events.time_unit.to_microseconds`.
        resolution_hw: H and W of the sensor. None: what the file or the camera tells, or else the
            smallest that holds the events.
        camera: "dvs128", "davis240" or "davis346" of an AEDAT file. None: what its header tells.

    Raises:
        FileNotFoundError: There is no such file.
        ReadError: The extension is unknown, or the file is empty, broken, truncated or not events.
            It is a ValueError; the message names the file.
        ValueError: An option has a value that it cannot have.
        ImportError: The format needs a package that is missing; the message says which.
    """
    path = Path(path)
    options = _check_options(order, t_unit, resolution_hw, camera)
    if not path.exists():
        raise FileNotFoundError(f"path must be an existing file, got {path}")
    if path.is_dir():
        raise ReadError(f"{path}: path must be a file, got a folder; name the files in it")
    extension = path.suffix.lower()
    if extension not in EVENT_READERS:
        known = ", ".join(EVENT_READERS)
        raise ReadError(
            f"{path}: extension must be one of {known} for events, got {path.suffix or 'none'!r}"
        )
    try:
        data = path.read_bytes()
        _check_content(data, extension)
        return assemble(EVENT_READERS[extension](data, options), str(path), options)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error


def _check_options(
    order: str | Sequence[str] | None,
    t_unit: str | None,
    resolution_hw: tuple[int, int] | None,
    camera: str | None,
) -> EventOptions:
    if t_unit is not None and t_unit not in T_UNITS:
        raise ValueError(unknown_name("t_unit", t_unit, T_UNITS))
    return EventOptions(
        order=None if order is None else parse_order(order),
        t_unit=t_unit,
        resolution_hw=None if resolution_hw is None else join_hw(*resolution_hw),
        camera=None if camera is None else camera_named(camera),
    )


def _check_content(data: bytes, extension: str) -> None:
    if not data.strip():
        raise ValueError("expected events, got an empty file")
    for magic, form in _MAGIC.items():
        if data.startswith(magic):
            if form != _SAME.get(extension, extension):
                raise ValueError(
                    f"expected {extension[1:]}, got the content of a {form} file; rename it"
                )
            return

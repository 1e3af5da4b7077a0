"""mat: columns of events in a MATLAB file, as ASL-DVS has them."""

from __future__ import annotations

import io
import math
import struct
import zlib

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents
from pcmamba.data.readers.events.columns import (
    event_column,
    events_from_table,
    from_columns,
    pick_columns,
)
from pcmamba.data.readers.events.h5 import parse_h5

_ALWAYS_TAKEN = 1 << 26  # bytes
_LARGEST_GROWTH = 1000
_HDF5 = b"MATLAB 7.3"
_BROKEN = (
    ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, OSError,
    NotImplementedError, AssertionError, UnicodeError, EOFError, struct.error, zlib.error,
)  # fmt: skip


@EVENT_READERS.register(".mat")
def parse_mat(data: bytes, options: EventOptions) -> RawEvents:
    """Read the variables x, y, t (or ts) and p (or pol), each a column or a row, or one of (E, 4).

    Files of MATLAB 7.3 are HDF5 and read as such.

    Raises:
        ValueError: No MATLAB file, no events among the variables, a variable hugely larger than
            the file.
    """
    options.refuse("mat", "camera")
    if data.startswith(_HDF5):
        return parse_h5(data, options)
    shapes = _shapes(data)
    if sum(event_column(name) is not None for name in shapes) < 2 and len(shapes) == 1:
        (name,) = shapes
        return events_from_table(_load(data, [name], shapes)[name], options)
    options.refuse("mat with named columns", "order")
    picked = pick_columns(list(shapes))
    arrays = _load(data, list(picked.values()), shapes)
    columns = {column: _column(name, arrays[name]) for column, name in picked.items()}
    return from_columns(columns, options)


def _shapes(data: bytes) -> dict[str, tuple[int, ...]]:
    from scipy.io import whosmat

    try:
        return {name: tuple(shape) for name, shape, _ in whosmat(io.BytesIO(data))}
    except _BROKEN as error:
        raise ValueError(f"expected a MATLAB file, got a broken one ({error})") from None


def _load(
    data: bytes, names: list[str], shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    limit = max(_ALWAYS_TAKEN, _LARGEST_GROWTH * len(data))
    for name in names:
        taken = math.prod(map(int, shapes[name])) * 8
        if not 0 <= taken <= limit:
            raise ValueError(f"{name} must take at most {limit:,} bytes, got {taken:,} announced")
    try:
        arrays = loadmat(io.BytesIO(data), variable_names=names)
    except _BROKEN as error:
        raise ValueError(f"expected whole variables, got {error}") from None
    for name in names:
        if not isinstance(arrays.get(name), np.ndarray) or arrays[name].dtype.hasobject:
            raise ValueError(f"{name} must be numbers, got {type(arrays.get(name)).__name__}")
    return {name: arrays[name] for name in names}


def _column(name: str, array: np.ndarray) -> np.ndarray:
    if array.size != max(array.shape, default=0):
        raise ValueError(f"{name} must be one column, got shape {array.shape}")
    return array.reshape(-1)

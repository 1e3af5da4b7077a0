"""npy: one array of events."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents
from pcmamba.data.readers.events.columns import events_from_table, from_columns, pick_columns
from pcmamba.data.readers.npy import load_array


@EVENT_READERS.register(".npy")
def parse_npy(data: bytes, options: EventOptions) -> RawEvents:
    """Read a structured array (E,) with fields x, y, t, p, or rows (E, 4).

    The order of the columns is the one given, or the one that alone fits their values.

    Raises:
        ValueError: Objects, another shape, a truncated file, an order that cannot be told.
    """
    options.refuse("npy", "camera")
    return events_from_array(load_array(data), options)


def events_from_array(array: np.ndarray, options: EventOptions) -> RawEvents:
    """Name the columns of an array; see `parse_npy`."""
    if array.dtype.names is None:
        return events_from_table(array, options)
    options.refuse("a structured array", "order")
    if array.ndim != 1:
        raise ValueError(f"expected a structured array (E,), got shape {array.shape}")
    picked = pick_columns(array.dtype.names)
    return from_columns({column: array[name] for column, name in picked.items()}, options)

"""mat: columns of events in a MATLAB file, as ASL-DVS has them."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents
from pcmamba.data.readers.events.columns import (
    event_column,
    events_from_table,
    from_columns,
    pick_columns,
)
from pcmamba.data.readers.events.h5 import parse_h5
from pcmamba.data.readers.events.mat5 import read_mat5

_HDF5 = b"MATLAB 7.3"


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
    arrays = read_mat5(data)
    if len(arrays) == 1 and not any(map(event_column, arrays)):
        return events_from_table(next(iter(arrays.values())), options)
    options.refuse("mat with named columns", "order")
    picked = pick_columns(list(arrays))
    columns = {column: _column(name, arrays[name]) for column, name in picked.items()}
    return from_columns(columns, options)


def _column(name: str, array: np.ndarray) -> np.ndarray:
    if array.size != max(array.shape, default=0):
        raise ValueError(f"{name} must be one column, got shape {array.shape}")
    return array.reshape(-1)

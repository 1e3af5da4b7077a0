"""bin: the 40-bit events of N-MNIST and N-Caltech101 (Orchard et al. 2015)."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import (
    EVENT_READERS,
    EventOptions,
    RawEvents,
    check_order_of_time,
)

_EVENT = 5  # bytes
_OVERFLOW_ROW = 240
_OVERFLOW_US = 1 << 13


@EVENT_READERS.register(".bin", ".bs2")
def parse_bin(data: bytes, options: EventOptions) -> RawEvents:
    """Read x, y, polarity and a time of 23 bits, big-endian.

    A row of 240 marks an overflow of time: 2^13 us are added to all later events, and the mark is
    no event.

    Raises:
        ValueError: The size is no multiple of 5, or times are in no order.
    """
    options.refuse("bin", "order", "t_unit", "camera")
    if len(data) % _EVENT:
        raise ValueError(f"expected 5 bytes an event, got {len(data)} bytes")
    rows = np.frombuffer(data, np.uint8).reshape(-1, _EVENT)
    x, y = rows[:, 0].astype(np.int16), rows[:, 1].astype(np.int16)
    t = (rows[:, 2] & 127).astype(np.int64)
    for i in (3, 4):
        t <<= 8
        t |= rows[:, i]
    p = rows[:, 2] >> 7
    notes = []
    marks = y == _OVERFLOW_ROW
    if marks.any():
        t += np.cumsum(marks) * _OVERFLOW_US
        x, y, t, p = x[~marks], y[~marks], t[~marks], p[~marks]
        notes.append(f"{int(marks.sum())} marks of time overflow applied")
    check_order_of_time(t, "bin")
    return RawEvents(x, y, t, p, notes=notes)

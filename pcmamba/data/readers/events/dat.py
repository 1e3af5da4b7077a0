"""dat: 64-bit events of Prophesee, version 2."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import (
    EVENT_READERS,
    EventOptions,
    RawEvents,
    check_order_of_time,
    unwrap,
)
from pcmamba.data.readers.events.prophesee_header import sensor_of, split_percent_header

_KINDS = (0, 12)  # of change detection, in older and newer files
_EVENT = np.dtype([("t", "<u4"), ("address", "<u4")])
_SIDE_BITS, _TURN_BITS = 14, 32


@EVENT_READERS.register(".dat")
def parse_dat(data: bytes, options: EventOptions) -> RawEvents:
    """Read a header of `%` lines, type and size of the events, then time and address of each.

    Raises:
        ValueError: No header, another kind of event, a broken event, times in no order.
    """
    options.refuse("dat", "order", "t_unit", "camera")
    header, end = split_percent_header(data)
    kind, size = data[end : end + 2] if len(data) >= end + 2 else (None, None)
    if kind not in _KINDS or size != _EVENT.itemsize:
        raise ValueError(f"expected events of type 0 or 12 and 8 bytes, got {kind} and {size}")
    body = data[end + 2 :]
    if len(body) % _EVENT.itemsize:
        raise ValueError(f"expected 8 bytes an event behind the header, got {len(body)} bytes")
    words = np.frombuffer(body, _EVENT)
    address = words["address"].astype(np.uint32)
    t, turns = unwrap(words["t"], _TURN_BITS)
    check_order_of_time(t, "dat")
    side = np.uint32((1 << _SIDE_BITS) - 1)
    x, y = address & side, (address >> np.uint32(_SIDE_BITS)) & side
    p = (address >> np.uint32(2 * _SIDE_BITS)).astype(np.uint8)
    notes = [f"times ran over 2^32 us {turns} times and were carried on"] if turns else []
    return RawEvents(x.astype(np.int16), y.astype(np.int16), t, p, sensor_of(header), notes)

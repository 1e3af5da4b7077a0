"""AEDAT 3.1: packets of typed events, as cAER writes them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pcmamba.data.readers.events.base import EventOptions, RawEvents
from pcmamba.data.readers.events.cameras import camera_named, sensor_in

_HEAD = struct.Struct("<HHIIIIII")
_POLARITY, _POLARITY_BYTES = 1, 8
_COMPRESSED = 0x8000
_EVENT = np.dtype([("data", "<u4"), ("t", "<u4")])


def parse_aedat3(lines: list[str], body: bytes, options: EventOptions) -> RawEvents:
    """Read the valid polarity events; packets of other types are skipped by their own size.

    The sensor is that of the source which the header names. Times are `timestamp` with the
    packet's overflows above its 31 bits.

    Raises:
        ValueError: A packet that is cut off or packed in a way not read.
    """
    options.refuse("AEDAT 3.1", "order", "t_unit")
    skipped: Counter[int] = Counter()
    parts, overflows = [], []
    for kind, overflow, events in _packets(body):
        if kind == _POLARITY:
            parts.append(events)
            overflows.append(overflow)
        else:
            skipped[kind] += 1
    words = np.frombuffer(b"".join(parts), _EVENT)
    sizes = [len(part) // _POLARITY_BYTES for part in parts]
    data = words["data"].astype(np.uint32)
    if max(overflows, default=0) >= 1 << 30:
        raise ValueError(f"times must be below 2**61 us, got an overflow of {max(overflows)}")
    high = np.repeat(np.array(overflows, np.int64), sizes) << 31
    t = words["t"].astype(np.int64) | high
    notes = [f"{n} packets of type {kind} left out" for kind, n in sorted(skipped.items())]
    valid = (data & np.uint32(1)) == 1
    if not valid.all():
        notes.append(f"{int((~valid).sum()):,} events marked invalid left out")
        data, t = data[valid], t[valid]
    p = ((data >> np.uint32(1)) & np.uint32(1)).astype(np.uint8)
    x, y = (data >> np.uint32(17)).astype(np.int16), ((data >> np.uint32(2)) & np.uint32(0x7FFF))
    return RawEvents(x, y.astype(np.int16), t, p, _sensor(lines, options), notes)


def _packets(body: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Give type, overflow and the bytes of the events in use of each packet."""
    view, place = memoryview(body), 0
    while place < len(body):
        if place + _HEAD.size > len(body):
            raise ValueError(f"expected a packet of 28 bytes or more, got {len(body) - place}")
        kind, _, size, _, overflow, capacity, number, _ = _HEAD.unpack_from(body, place)
        place += _HEAD.size
        if place + capacity * size > len(body) or number > capacity:
            raise ValueError(
                f"expected a packet of {capacity} events of {size} bytes, {number} in use, at byte "
                f"{place}; {len(body) - place} bytes are left"
            )
        if kind & _COMPRESSED:
            raise ValueError(f"expected packets as they are, got a compressed one at byte {place}")
        if kind == _POLARITY and size != _POLARITY_BYTES:
            raise ValueError(f"polarity events must have 8 bytes, got {size}")
        yield kind, overflow, view[place : place + number * size]
        place += capacity * size


def _sensor(lines: list[str], options: EventOptions) -> tuple[int, int] | None:
    if options.camera is not None:
        return sensor_in(camera_named(options.camera))
    sources = [line for line in lines if line.startswith("#Source")]
    return next((hw for line in sources if (hw := sensor_in(line))), None)

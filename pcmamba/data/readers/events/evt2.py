"""EVT 2.0: 32-bit words of Prophesee's sensors."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import RawEvents, unwrap

_OFF, _ON, _TIME_HIGH = 0, 1, 8  # the upper 4 bits
_LOW_BITS, _HIGH_BITS = 6, 28


def parse_evt2(body: bytes) -> RawEvents:
    """Read words whose upper 4 bits tell an event, the upper 28 bits of time, or something else.

    Words of other kinds, and events before the first time, are left out and noted.

    Raises:
        ValueError: The size is no multiple of 4.
    """
    if len(body) % 4:
        raise ValueError(f"expected 4 bytes a word behind the header, got {len(body)} bytes")
    words = np.frombuffer(body, "<u4").astype(np.uint32)
    kind = (words >> np.uint32(28)).astype(np.uint8)
    is_time, is_event = kind == _TIME_HIGH, kind <= _ON
    high, turns = unwrap(_bits(words[is_time], 0, _HIGH_BITS), _HIGH_BITS)
    times_so_far = np.cumsum(is_time)
    known = is_event & (times_so_far > 0)
    events = words[known]
    t = high[times_so_far[known] - 1] << _LOW_BITS | _bits(events, 22, _LOW_BITS)
    x, y = (_bits(events, lowest, 11).astype(np.int16) for lowest in (11, 0))
    notes = []
    if turns:
        notes.append(f"times ran over 2^34 us {turns} times and were carried on")
    others = int((~is_time & ~is_event).sum())
    if others:
        notes.append(f"{others:,} words of other kinds left out")
    early = int(is_event.sum()) - len(events)
    if early:
        notes.append(f"{early:,} events before the first time left out")
    return RawEvents(x, y, t, (events >> np.uint32(28)).astype(np.uint8), notes=notes)


def _bits(words: np.ndarray, lowest: int, number: int) -> np.ndarray:
    taken = (words >> np.uint32(lowest)) & np.uint32((1 << number) - 1)
    return taken.astype(np.int64)

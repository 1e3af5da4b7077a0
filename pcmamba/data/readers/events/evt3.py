"""EVT 3.0: 16-bit words of Prophesee's sensors, which tell only what changes."""

from __future__ import annotations

import numpy as np
from numba import njit

from pcmamba.data.readers.events.base import RawEvents

# The upper 4 bits of a word.
_Y, _X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW, _TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
_HALF_TURN = 1 << 11  # of the 12 bits of each half of time


def parse_evt3(body: bytes) -> RawEvents:
    """Read words that set row, time or a base column, and words of one or up to 12 events.

    Words of other kinds, and events before the first time, row or base, are left out and noted.

    Raises:
        ValueError: The size is odd.
    """
    if len(body) % 2:
        raise ValueError(f"expected 2 bytes a word behind the header, got {len(body)} bytes")
    words = np.frombuffer(body, "<u2").astype(np.uint16, copy=False)
    size = _count(words)
    x, y = np.empty(size, np.int32), np.empty(size, np.int16)
    t, p = np.empty(size, np.int64), np.empty(size, np.uint8)
    early, others, turns = _decode(words, x, y, t, p)
    notes = [f"{early:,} events before the first time, row or base left out"] if early else []
    if others:
        notes.append(f"{others:,} words of other kinds left out")
    if turns:
        notes.append(f"times ran over 2^24 us {turns} times and were carried on")
    kept = slice(0, size - early)
    return RawEvents(x[kept], y[kept], t[kept], p[kept], notes=notes)


@njit(cache=True)
def _count(words: np.ndarray) -> int:
    """Return the number of events that words hold."""
    size = 0
    for word in words:
        kind = word >> 12
        if kind == _X:
            size += 1
        elif kind in (_VECTOR_12, _VECTOR_8):
            lanes = 12 if kind == _VECTOR_12 else 8
            for lane in range(lanes):
                size += (word >> lane) & 1
    return size


@njit(cache=True)
def _decode(
    words: np.ndarray, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray
) -> tuple[int, int, int]:
    """Fill the columns; return events left out, words of other kinds, and overflows of time.

    The upper half of time is repeated as it is between lower halves, which changes nothing; a new
    one begins at a lower half of 0. A vector starts where the one before it ended.
    """
    high = row = base = -1
    now = polarity = end = early = others = turns = 0
    for word in words:
        kind, value = int(word) >> 12, int(word) & 0xFFF
        if kind == _TIME_LOW:
            if high >= 0:
                now = (turns << 24) | (high << 12) | value
        elif kind == _TIME_HIGH:
            if high >= 0 and value < high - _HALF_TURN:
                turns += 1
            elif high >= 0 and value > high + _HALF_TURN and turns > 0:
                turns -= 1  # a late one
            if value != high:
                high, now = value, (turns << 24) | (value << 12)
        elif kind == _Y:
            row = value & 0x7FF
        elif kind in (_X, _VECTOR_12, _VECTOR_8):
            if kind == _X:
                lanes, mask, column, on = 1, 1, value & 0x7FF, value >> 11
            else:
                lanes = 12 if kind == _VECTOR_12 else 8
                mask, column, on = value & ((1 << lanes) - 1), base, polarity
                base = base + lanes if base >= 0 else base
            known = high >= 0 and row >= 0 and column >= 0
            for lane in range(lanes):
                if (mask >> lane) & 1 and known:
                    x[end], y[end], t[end], p[end] = column + lane, row, now, on
                    end += 1
                elif (mask >> lane) & 1:
                    early += 1
        elif kind == _BASE_X:
            base, polarity = value & 0x7FF, value >> 11
        else:
            others += 1
    return early, others, turns

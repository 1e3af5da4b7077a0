"""EVT 3.0: 16-bit words of Prophesee's sensors, which tell only what changes."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.events.base import RawEvents, unwrap
from pcmamba.data.readers.events.words import at, last_before

# The upper 4 bits of a word.
_Y, _X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW, _TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
_KNOWN = (_Y, _X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW, _TIME_HIGH)
_TIME_BITS = 12  # of each half
_LANES = np.arange(12)
_POLARITY = 1 << 11


def parse_evt3(body: bytes) -> RawEvents:
    """Read words that set row, time or a base column, and words of one or up to 12 events.

    Words of other kinds, and events before the first time, row or base, are left out and noted.

    Raises:
        ValueError: The size is odd.
    """
    if len(body) % 2:
        raise ValueError(f"expected 2 bytes a word behind the header, got {len(body)} bytes")
    words = np.frombuffer(body, "<u2").astype(np.int64)
    kind, value = words >> 12, words & 0xFFF
    source, lane = _events(kind, value)
    row, time = last_before(kind == _Y), _time_words(kind, value)
    column, base = _columns(kind, value)
    known = (row[source] >= 0) & (time.index[source] >= 0) & (base[source] >= 0)
    early = len(source) - int(known.sum())
    source, lane = source[known], lane[known]
    notes = [f"{early:,} events before the first time, row or base left out"] if early else []
    others = int((~np.isin(kind, _KNOWN)).sum())
    if others:
        notes.append(f"{others:,} words of other kinds left out")
    if time.turns:
        notes.append(f"times ran over 2^24 us {time.turns} times and were carried on")
    x, y = column[source] + lane, value[row[source]] & 0x7FF
    p = (value[base[source]] & _POLARITY) > 0
    t = time.value[time.index[source]]
    return RawEvents(x.astype(np.int32), y.astype(np.int16), t, p.astype(np.uint8), notes=notes)


def _events(kind: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the word that each event comes from, in order, and its place in a vector, or 0."""
    vectors = np.flatnonzero((kind == _VECTOR_12) | (kind == _VECTOR_8))
    mask = value[vectors] & np.where(kind[vectors] == _VECTOR_12, 0xFFF, 0xFF)
    bits = (mask[:, None] >> _LANES) & 1
    number = (kind == _X).astype(np.int64)
    number[vectors] = bits.sum(axis=1)
    source = np.repeat(np.arange(len(kind)), number)
    lane = np.zeros(len(source), np.int64)
    lane[kind[source] != _X] = np.nonzero(bits)[1]
    return source, lane


def _columns(kind: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the column that each word starts from, and the word that told it and the polarity.

    A vector starts where the one before it ended, so many columns behind the last base.
    """
    width = np.where(kind == _VECTOR_12, 12, np.where(kind == _VECTOR_8, 8, 0))
    passed = np.cumsum(width) - width
    base = last_before(kind == _BASE_X)
    column = (at(value, base) & 0x7FF) + passed - at(passed, base)
    single = kind == _X
    own = np.arange(len(kind))
    return np.where(single, value & 0x7FF, column), np.where(single, own, base)


class _Times:
    """Time after each word that changes it, microseconds, and which of them holds at each word."""

    def __init__(self, value: np.ndarray, index: np.ndarray, turns: int) -> None:
        self.value, self.index, self.turns = value, index, turns


def _time_words(kind: np.ndarray, value: np.ndarray) -> _Times:
    """Join both halves of time. A new upper half begins at a lower half of 0.

    The upper half is repeated as it is between lower halves; then nothing changes.
    """
    is_high = kind == _TIME_HIGH
    high, turns = unwrap(value[is_high], _TIME_BITS)
    told = np.cumsum(is_high)  # upper halves so far
    new = is_high.copy()
    new[is_high] = np.diff(high, prepend=-1) != 0
    is_low = (kind == _TIME_LOW) & (told > 0)
    now = high[np.maximum(told - 1, 0)] << _TIME_BITS if len(high) else np.zeros_like(value)
    return _Times(np.where(is_low, now | value, now), last_before(new | is_low), turns)

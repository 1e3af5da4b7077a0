"""Units of time, told or guessed."""

from __future__ import annotations

import numpy as np

T_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}  # microseconds
_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "millisecond", "milliseconds"),
    "us": ("us", "µs", "usec", "microsecond", "microseconds"),
    "ns": ("ns", "nsec", "nanosecond", "nanoseconds"),
}
_UNIT_OF_WORD = {word: unit for unit, words in _WORDS.items() for word in words}
_LEAST_US, _MOST_US = 1e3, 3.6e9  # a recording lasts 1 ms to 1 h
_MOST_RATE = 1e8  # events a second
_LARGEST = 1 << 61  # microseconds; below, differences of two times fit in int64


def unit_of_word(word: str) -> str | None:
    """Return the unit that a word of a header or an attribute names, or None."""
    return _UNIT_OF_WORD.get(word.strip(" ()[]_").lower())


def to_microseconds(t: np.ndarray, unit: str | None) -> tuple[np.ndarray, list[str]]:
    """Turn times (E,) into microseconds, int64, and say in notes if the unit was guessed.

    Without a unit, whole numbers are microseconds and numbers with fractions seconds, unless the
    recording would then not last 1 ms to 1 h or have more than 10^8 events a second; in that case
    the first other unit in which it does is taken. A short recording in nanoseconds, or one in
    whole milliseconds, is not told by its numbers.

    Raises:
        ValueError: A time is not finite or beyond 2^61 us, or the column is not one of numbers.
    """
    if t.ndim != 1 or t.dtype.kind not in "iuf":
        raise ValueError(f"t must be one column of numbers, got {t.dtype} {t.shape}")
    if not np.isfinite(t).all():
        raise ValueError("t must be finite, got a value that is not")
    notes = []
    if unit is None:
        unit = _guess_unit(t)
        notes = [f"times taken to be in {unit}"]
    scale = T_UNITS[unit]
    if len(t) and max(abs(float(t.min())), abs(float(t.max()))) * scale >= _LARGEST:
        raise ValueError(f"t must be below 2**61 us, got {t.max()} {unit}")
    return _scaled(t, unit), notes


def _scaled(t: np.ndarray, unit: str) -> np.ndarray:
    if t.dtype.kind == "f":
        scaled: np.ndarray = np.rint(t.astype(np.float64) * T_UNITS[unit]).astype(np.int64)
        return scaled
    whole = t.astype(np.int64)
    return whole // 1000 if unit == "ns" else whole * int(T_UNITS[unit])


def _guess_unit(t: np.ndarray) -> str:
    whole = t.dtype.kind in "iu" or bool((np.floor(t) == t).all())
    units = ("us", "ns", "ms", "s") if whole else ("s", "ms", "us")
    span = float(t.max()) - float(t.min()) if len(t) else 0.0
    for unit in units:
        lasts = span * T_UNITS[unit]
        if _LEAST_US <= lasts <= _MOST_US and len(t) <= lasts * 1e-6 * _MOST_RATE:
            return unit
    return units[0]

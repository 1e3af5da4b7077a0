"""One recording of an event camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_LARGEST_SIDE = 1 << 15  # coordinates are int16


@dataclass(frozen=True, eq=False)
class Events:
    """A recording's events in order of time. Arrays are kept, not copied, and never modified.

    Attributes:
        x: (E,) int16 columns, 0 to W - 1.
        y: (E,) int16 rows, 0 to H - 1, downwards.
        t: (E,) int64 microseconds since the recording began, at least 0, never falling.
        p: (E,) uint8 polarity: 1 where it became brighter, 0 where darker.
        resolution_hw: H and W of the sensor, pixels.
        t0: Microseconds taken off the times of the file.
        source: Where the recording came from, for messages.
        notes: What a reader guessed, repaired or left out, in words.

    Raises:
        TypeError: A column is no NumPy array or of another dtype.
        ValueError: Lengths differ, an event is outside the sensor, or times fall.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray
    p: np.ndarray
    resolution_hw: tuple[int, int]
    t0: int = 0
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        height, width = self.resolution_hw
        if not 0 < min(height, width) <= max(height, width) <= _LARGEST_SIDE:
            raise ValueError(
                f"resolution_hw must be two sides of 1 to {_LARGEST_SIDE}, got {self.resolution_hw}"
            )
        for name, dtype in (("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.uint8)):
            _check_column(name, getattr(self, name), dtype, len(self.x))
        _check_range("x", self.x, width)
        _check_range("y", self.y, height)
        _check_range("p", self.p, 2)
        if len(self.t) and (self.t[0] < 0 or (self.t[1:] < self.t[:-1]).any()):
            raise ValueError("t must not fall and not be negative; Events.from_arrays sorts")

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        t: Any,
        p: Any,
        resolution_hw: tuple[int, int] | None = None,
        *,
        source: str = "",
        notes: tuple[str, ...] = (),
    ) -> Events:
        """Bring columns of numbers into this form and say in `notes` what had to be done.

        Times are sorted, stably, and counted from the first. The brighter polarity is the one
        above 0: {0, 1}, {-1, 1} and bool are read alike.

        Args:
            x: (E,) columns, whole numbers.
            y: (E,) rows, whole numbers.
            t: (E,) microseconds; fractions are rounded down.
            p: (E,) polarities.
            resolution_hw: Sensor; by default the smallest that holds the events.
            source: For messages.
            notes: What is known of the recording already.

        Raises:
            ValueError: Lengths differ, a number is not finite or not whole, p has other values,
                or an event is outside the sensor.
        """
        columns = [_whole("x", x), _whole("y", y), _whole("t", t).astype(np.int64, copy=False)]
        positive = _positive(p)
        sizes = {len(column) for column in (*columns, positive)}
        if len(sizes) > 1:
            raise ValueError(f"x, y, t and p must have one length, got {sorted(sizes)}")
        xs, ys, ts = columns
        if resolution_hw is None:
            resolution_hw = (int(ys.max(initial=0)) + 1, int(xs.max(initial=0)) + 1)
            notes = (*notes, f"sensor taken to be {resolution_hw[1]} x {resolution_hw[0]}")
        _check_range("x", xs, resolution_hw[1])
        _check_range("y", ys, resolution_hw[0])
        falls = int((ts[1:] < ts[:-1]).sum())
        if falls:
            order = np.argsort(ts, kind="stable")
            xs, ys, ts, positive = xs[order], ys[order], ts[order], positive[order]
            notes = (*notes, f"times fell at {falls} places and were sorted")
        t0 = int(ts[0]) if len(ts) else 0
        return cls(
            xs.astype(np.int16, copy=False), ys.astype(np.int16, copy=False), ts - t0, positive,
            resolution_hw, t0=t0, source=source, notes=notes,
        )  # fmt: skip

    @classmethod
    def empty(cls, resolution_hw: tuple[int, int]) -> Events:
        """Return a recording without events."""
        none = np.empty(0, np.int16)
        return cls(none, none, np.empty(0, np.int64), np.empty(0, np.uint8), resolution_hw)

    def __len__(self) -> int:
        return len(self.t)

    @property
    def duration(self) -> int:
        """Microseconds from the first event to the last."""
        return int(self.t[-1] - self.t[0]) if len(self) else 0

    def between(self, start_us: int, end_us: int) -> Events:
        """Return the events with start <= t < end, their times counted from `start_us`."""
        first, last = np.searchsorted(self.t, (start_us, end_us))
        part = slice(first, max(first, last))
        return replace(
            self,
            x=self.x[part],
            y=self.y[part],
            t=self.t[part] - max(start_us, 0),
            p=self.p[part],
            t0=self.t0 + max(start_us, 0),
        )


def _check_column(name: str, values: np.ndarray, dtype: Any, size: int) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != dtype:
        got = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{name} must be a {np.dtype(dtype)} array, got {got}")
    if values.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {values.shape}")


def _check_range(name: str, values: np.ndarray, end: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= end):
        bad = values[(values < 0) | (values >= end)]
        raise ValueError(
            f"{name} must be 0 to {end - 1}, got {bad[0]} ({len(bad)} of {len(values)} events); "
            "check resolution_hw and the order of the columns"
        )


def _whole(name: str, values: Any) -> np.ndarray:
    """Return a column of whole numbers; times may have fractions, which are cut off."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be one column of numbers, got {array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or np.abs(array).max(initial=0) >= 2.0**62:
            raise ValueError(f"{name} must be finite, got a value that is not or is beyond 2**62")
        floor = np.floor(array)
        if name != "t" and (floor != array).any():
            raise ValueError(f"{name} must be whole numbers, got {array[floor != array][0]}")
        array = floor
    elif array.dtype == np.uint64 and (array >= 1 << 62).any():
        raise ValueError(f"{name} must be below 2**62, got {array.max()}")
    small = array.dtype.kind in "iu" and array.dtype.itemsize < 8
    return array if small else array.astype(np.int64)


def _positive(p: Any) -> np.ndarray:
    array = np.asarray(p)
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise ValueError(f"p must be one column of numbers, got {array.dtype} {array.shape}")
    if array.dtype.kind in "bu" and array.max(initial=0) <= 1:
        return array.astype(np.uint8)
    if not np.isin(array, (-1, 0, 1)).all():
        other = array[~np.isin(array, (-1, 0, 1))][0]
        raise ValueError(f"p must be 0 or 1, or -1 or 1, got {other}; check the columns' order")
    if (array == -1).any() and (array == 0).any():
        raise ValueError("p must be two values, 0 and 1 or -1 and 1, got all three")
    return (array > 0).astype(np.uint8)

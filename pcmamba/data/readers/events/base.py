"""What every reader of events is told, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pcmamba.registry import Registry


@dataclass(frozen=True)
class EventOptions:
    """What the caller knows of a file; None: the file tells, or it is guessed and noted.

    Attributes:
        order: Name of each column, "x", "y", "t", "p", or "_" for one to leave out.
        t_unit: "s", "ms", "us" or "ns".
        resolution_hw: H and W of the sensor, pixels.
        camera: Name of the camera.
    """

    order: tuple[str, ...] | None = None
    t_unit: str | None = None
    resolution_hw: tuple[int, int] | None = None
    camera: str | None = None

    def refuse(self, form: str, *names: str) -> None:
        """Raise ValueError if an option is given that has no meaning for a format."""
        for name in names:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} must be None for {form}, which needs none, got {getattr(self, name)!r}"
                )


@dataclass
class RawEvents:
    """Content of a file before it is checked: columns (E,) of numbers.

    Attributes:
        x: Columns of the sensor.
        y: Rows of the sensor, downwards.
        t: Microseconds, from any start.
        p: Polarity, {0, 1}, {-1, 1} or bool.
        resolution_hw: Sensor, if the file tells it.
        notes: What the parser guessed, repaired or left out.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray
    p: np.ndarray
    resolution_hw: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)


# A parser takes the bytes of a file. It raises ValueError without the file's name, which is added
# later.
Parser = Callable[[bytes, EventOptions], RawEvents]

EVENT_READERS: Registry[Parser] = Registry("file extension")


def join_hw(height: int, width: int) -> tuple[int, int]:
    """Return a sensor that a file tells as (H, W).

    Raises:
        ValueError: A side is not 1 to 32768.
    """
    if not (1 <= height <= 1 << 15 and 1 <= width <= 1 << 15):
        raise ValueError(f"expected a sensor of 1 to 32768 pixels a side, got {width} x {height}")
    return int(height), int(width)


def check_order_of_time(t: np.ndarray, form: str) -> None:
    """Refuse times (E,) that fall so often that the bytes are no recording.

    A format without a mark at its beginning takes any bytes for events; a recording's times rise,
    but for a few of a read-out that was late.

    Raises:
        ValueError: More than an eighth of the times are below the one before.
    """
    falls = int((t[1:] < t[:-1]).sum())
    if falls > max(len(t) // 8, 4):
        raise ValueError(
            f"expected {form} events in order of time, got {falls:,} of {len(t):,} that are "
            "earlier than the one before; is it another format?"
        )


def unwrap(t: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Undo the overflow of a counter: times (E,) that fall by more than half its range.

    Returns:
        (E,) int64 times, and how often the counter overflowed.
    """
    times = t.astype(np.int64, copy=False)
    steps, half = np.diff(times), 1 << (bits - 1)
    if steps.min(initial=0) >= -half:
        return times, 0
    turns = np.zeros(len(t), np.int64)
    # A late event behind an overflow jumps up again, so turns are taken back as well as added.
    np.cumsum((steps < -half).astype(np.int64) - (steps > half), out=turns[1:])
    turns -= int(turns.min())
    return times + (turns << bits), int(turns.max())

"""From the content of a file to checked events."""

from __future__ import annotations

import numpy as np

from pcmamba.data.events import Events
from pcmamba.data.readers.events.base import EventOptions, RawEvents

_STRAY_SHARE = 0.01  # of events outside the sensor that may be left out
_LEAST_US, _MOST_US = 1_000, 3_600_000_000
_LARGEST_US = 1 << 61  # differences of two times fit in int64


def assemble(raw: RawEvents, source: str, options: EventOptions) -> Events:
    """Leave stray events out, sort and check, and say so in the notes.

    Raises:
        ValueError: No events, or more outside the sensor than may be left out.
    """
    if len(raw.t) == 0:
        raise ValueError("expected at least one event, got none")
    resolution_hw = options.resolution_hw or raw.resolution_hw
    notes = list(raw.notes)
    if options.resolution_hw and raw.resolution_hw not in (None, options.resolution_hw):
        height, width = raw.resolution_hw
        notes.append(f"the file tells a sensor of {width} x {height}, which was overruled")
    x, y, t, p = _without_strays(raw, resolution_hw, notes)
    if t.min() <= -_LARGEST_US or t.max() >= _LARGEST_US:
        raise ValueError(f"times must be below 2**61 us, got {t.min()} to {t.max()}")
    events = Events.from_arrays(x, y, t, p, resolution_hw, source=source, notes=tuple(notes))
    if not _LEAST_US <= events.duration <= _MOST_US:
        said = f"lasts {events.duration / 1e6:.6g} s, which is hardly right; see t_unit"
        object.__setattr__(events, "notes", (*events.notes, said))
    return events


def _without_strays(
    raw: RawEvents, resolution_hw: tuple[int, int] | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    height, width = resolution_hw or (1 << 15, 1 << 15)
    columns = raw.x, raw.y, raw.t, raw.p
    if _all_inside(raw.x, width) and _all_inside(raw.y, height):
        return columns
    inside = _inside(raw.x, width) & _inside(raw.y, height)
    strays = len(inside) - int(inside.sum())
    if strays > max(_STRAY_SHARE * len(inside), 1) or strays == len(inside):
        first = int((~inside).argmax())
        raise ValueError(
            f"events must be inside the sensor of {width} x {height}, got {strays:,} of "
            f"{len(inside):,} outside, first x={raw.x[first]} y={raw.y[first]}; check "
            "resolution_hw, camera and the order of the columns"
        )
    notes.append(f"{strays:,} events outside the sensor of {width} x {height} left out")
    x, y, t, p = (column[inside] for column in columns)
    return x, y, t, p


def _all_inside(values: np.ndarray, end: int) -> bool:
    return bool(values.min() >= 0 and values.max() < end)


def _inside(values: np.ndarray, end: int) -> np.ndarray:
    result: np.ndarray = (values >= 0) & (values < end)
    return result

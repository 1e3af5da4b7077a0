"""What there is to say about one recording of an event camera."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from pcmamba.data.events import Events

_PEAK_US = 10_000
_HOT_RATIO = 10  # of a pixel's events to those of the busiest of its eight neighbours, and one
_MOST_SHOWN = 5


def report_recording(events: Events) -> list[str]:
    """Describe a recording: count, time, rate, sensor, polarity, hot pixels, what was repaired."""
    seconds = events.duration * 1e-6
    height, width = events.resolution_hw
    counts = pixel_counts(events)
    _, peaks = np.unique(events.t // _PEAK_US, return_counts=True)
    rate = f"{len(events) / seconds:,.0f}" if seconds else "no"
    active = int((counts > 0).sum())
    return [
        f"events: {len(events):,}",
        f"duration: {seconds:,.6g} s, first at {events.t0 * 1e-6:,.6f} s of the file",
        f"rate: {rate} events/s on average, {peaks.max(initial=0) * 1e6 / _PEAK_US:,.0f} in the "
        f"busiest {_PEAK_US // 1000} ms",
        f"sensor: {width} x {height} pixels, {active:,} of them ({active / counts.size:.0%}) fired",
        f"polarity: {events.p.mean() if len(events) else 0:.1%} of the events brighter",
        _hot_line(counts),
        *(f"note: {note}" for note in events.notes),
    ]


def pixel_counts(events: Events) -> np.ndarray:
    """Return the number of events of each pixel, (H, W) int64."""
    height, width = events.resolution_hw
    flat = events.y.astype(np.int64) * width + events.x
    return np.bincount(flat, minlength=height * width).reshape(height, width)


def hot_pixels(counts: np.ndarray) -> np.ndarray:
    """Return rows and columns (N, 2) of pixels that fire on their own, the busiest first.

    A moving edge passes over neighbours; a hot pixel has more than 10 times the events of the
    busiest of its eight neighbours, and of one more.

    Args:
        counts: (H, W) events of each pixel.
    """
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    neighbours = maximum_filter(counts, footprint=around, mode="constant")
    found = np.argwhere(counts > _HOT_RATIO * (neighbours + 1))
    return found[np.argsort(-counts[tuple(found.T)], kind="stable")]


def _hot_line(counts: np.ndarray) -> str:
    hot = hot_pixels(counts)
    if not len(hot):
        return "hot pixels: none"
    share = counts[tuple(hot.T)].sum() / counts.sum()
    places = ", ".join(f"({x}, {y})" for y, x in hot[:_MOST_SHOWN])
    more = ", …" if len(hot) > _MOST_SHOWN else ""
    return f"hot pixels: {len(hot):,} with {share:.1%} of the events, (x, y) {places}{more}"

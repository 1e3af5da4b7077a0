"""The loops of the sensor: where levels cross thresholds, and which pixels are awake."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pcmamba.data.shapes.dice import Array

Integers = NDArray[np.int64]
_NEVER = -(1 << 62)
_AWAKE = -np.inf


def crossings(
    levels: NDArray[np.float32], times_us: Array, on: Array, off: Array, refractory_us: float
) -> tuple[Integers, Integers, Integers]:
    """Find where levels cross thresholds.

    Args:
        levels: (F, P) float32 log intensities; the first are the pixels' first reset.
        times_us: (F,) float64, rising.
        on: (P,) rise that makes an event, above 0.
        off: (P,) fall that makes an event, above 0.
        refractory_us: Microseconds, at least 0.

    Returns:
        pixel, time in whole microseconds and polarity, each (E,), ordered by picture, then pixel.
    """
    room = 1 << 14
    while True:
        pixel = np.empty(room, np.int64)
        t = np.empty(room, np.int64)
        p = np.empty(room, np.int64)
        found = _crossings(levels, times_us, on, off, refractory_us, pixel, t, p)
        if found <= room:
            return pixel[:found], t[:found], p[:found]
        room = found


@njit(cache=True, nogil=True, error_model="numpy")
def _crossings(
    levels: Any, times: Any, on: Any, off: Any, refractory: float, pixel: Any, t: Any, p: Any
) -> int:
    """Write as many events as there is room for; return how many there are."""
    frames, pixels = levels.shape
    memory = levels[0].astype(np.float64)
    blind_until = np.full(pixels, _AWAKE)
    found = 0
    for frame in range(1, frames):
        start, end = times[frame - 1], times[frame]
        for k in range(pixels):
            before, after = float(levels[frame - 1, k]), float(levels[frame, k])
            if before == after:
                continue
            slope = (after - before) / (end - start)
            now = start
            while blind_until[k] <= end:
                if blind_until[k] != _AWAKE:
                    # A period that ended in a still stretch ended at the level of now.
                    now = max(blind_until[k], now)
                    memory[k] = before + slope * (now - start)
                    blind_until[k] = _AWAKE
                step = on[k] if slope > 0.0 else -off[k]
                if (after - memory[k] - step) * slope < 0.0:
                    break
                now = min(max(start + (memory[k] + step - before) / slope, now), end)
                if found < len(t):
                    pixel[found], t[found], p[found] = k, int(now), slope > 0.0
                found += 1
                if refractory > 0.0:
                    blind_until[k] = now + refractory
                else:
                    memory[k] += step
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def awake(pixel: Any, t: Any, pixels: int, refractory_us: int) -> Any:
    """Tell which events (E,), in order of time, come from a pixel that is not blind any more."""
    last = np.full(pixels, _NEVER)
    kept = np.empty(len(t), np.bool_)
    for event in range(len(t)):
        kept[event] = t[event] - last[pixel[event]] >= refractory_us
        if kept[event]:
            last[pixel[event]] = t[event]
    return kept

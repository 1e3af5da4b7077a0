"""Anti-aliased pictures of capsules before a still background, as the log of intensities.

A pixel is covered by the share clip(1/2 + r - d, 0, 1), where d is the distance of its centre from
the segment and r the radius, in pixels. Only the basic operations of IEEE arithmetic are used, the
logarithm included, so the pictures have the same bits on every machine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pcmamba.data.shapes.dice import Array


def cover(picture: Array, capsules: Array, intensity: float) -> Array:
    """Return a picture (H, W) of intensities with capsules (K, 5), in pixels, painted on it."""
    height, width = picture.shape
    covered = np.zeros((height, width))
    for capsule in capsules:
        _cover(covered, capsule)
    return picture * (1.0 - covered) + intensity * covered


@njit(cache=True, nogil=True, error_model="numpy")
def render(picture: Array, capsules: Array, intensity: float) -> Any:
    """Render moving capsules of one intensity before a still picture.

    Args:
        picture: (H, W) float64 intensities, above 0.
        capsules: (F, K, 5) float64 x0, y0, x1, y1 and radius, pixels; pixel (0, 0) is centred at
            (0, 0).
        intensity: Of the capsules, above 0.

    Returns:
        (F, H, W) float32 natural logarithms of intensities.
    """
    frames, parts = capsules.shape[:2]
    height, width = picture.shape
    still = np.empty((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            still[row, column] = log(picture[row, column])
    out = np.empty((frames, height, width), np.float32)
    inside = log(intensity)
    covered = np.zeros((height, width))
    for frame in range(frames):
        out[frame] = still
        for part in range(parts):
            _cover(covered, capsules[frame, part])
        for part in range(parts):
            first_row, last_row, first, last = _box(capsules[frame, part], height, width)
            for row in range(first_row, last_row + 1):
                for column in range(first, last + 1):
                    share = covered[row, column]
                    if share == 1.0:
                        out[frame, row, column] = inside
                    elif share > 0.0:
                        seen = picture[row, column] * (1.0 - share) + intensity * share
                        out[frame, row, column] = log(seen)
                    covered[row, column] = 0.0
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def log(value: float) -> float:
    """Return the natural logarithm of a positive number, to 1e-11."""
    mantissa, exponent = math.frexp(value)
    if mantissa < 0.70710678118654752:
        mantissa *= 2.0
        exponent -= 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    total = 0.0
    for odd in range(13, 0, -2):  # log(m) = 2 artanh(ratio), by its series
        total = total * square + 1.0 / odd
    return 2.0 * ratio * total + exponent * 0.69314718055994531


@njit(cache=True, nogil=True, error_model="numpy")
def _cover(covered: NDArray[np.float64], capsule: Array) -> None:
    """Raise the covered shares (H, W) to those of one capsule."""
    x0, y0, x1, y1, radius = capsule
    reach = radius + 0.5
    first_row, last_row, first, last = _box(capsule, *covered.shape)
    way_x, way_y = x1 - x0, y1 - y0
    length2 = way_x * way_x + way_y * way_y
    per_length = 1.0 / length2 if length2 > 0.0 else 0.0
    inner2 = max(radius - 0.5, 0.0) ** 2
    for row in range(first_row, last_row + 1):
        for column in range(first, last + 1):
            x, y = column - x0, row - y0
            along = min(max((x * way_x + y * way_y) * per_length, 0.0), 1.0)
            x -= along * way_x
            y -= along * way_y
            distance2 = x * x + y * y
            if distance2 < reach * reach:
                share = 1.0 if distance2 <= inner2 else min(reach - math.sqrt(distance2), 1.0)
                covered[row, column] = max(covered[row, column], share)


@njit(cache=True, nogil=True, error_model="numpy")
def _box(capsule: Array, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the first and last row and column that a capsule may touch."""
    x0, y0, x1, y1, radius = capsule
    reach = radius + 0.5
    return (
        max(math.ceil(min(y0, y1) - reach), 0),
        min(math.floor(max(y0, y1) + reach), height - 1),
        max(math.ceil(min(x0, x1) - reach), 0),
        min(math.floor(max(x0, x1) + reach), width - 1),
    )

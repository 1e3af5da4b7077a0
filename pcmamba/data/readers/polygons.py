"""Polygons of files as triangles."""

from __future__ import annotations

import numpy as np


def fan(corners: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Cut polygons into triangles that share each polygon's first corner.

    Args:
        corners: Corners of all polygons, one after the other.
        lengths: (F,) corners of each polygon. Fewer than 3 have no area and give no triangle.

    Returns:
        (T, 3) int64, in the order of the polygons.
    """
    lengths = np.asarray(lengths, np.int64)
    counts = np.maximum(lengths - 2, 0)
    first = np.repeat(np.cumsum(lengths) - lengths, counts)
    step = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    triangles = np.stack([first, first + step + 1, first + step + 2], axis=1)
    return np.take(np.asarray(corners, np.int64), triangles)


def check_corners(triangles: np.ndarray, size: int) -> None:
    """Raise ValueError if a corner is no index of the `size` points."""
    if len(triangles) and not 0 <= triangles.min() <= triangles.max() < size:
        raise ValueError(
            f"face corners must be in 0 … {size - 1}, got {triangles.min()} to {triangles.max()}"
        )

"""Draw points as little spheres into a picture, the nearest in front, in exactly their colours.

A point is a disc of pixels whose depth bulges like a sphere. Pixels that lie close behind an edge
of something nearer are darkened, which shows the shape; all others keep the colour they were given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from pcmamba.viz.palette import Bytes

Floats = NDArray[np.float64]

_COARSE = 8
_NEIGHBOURS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


@dataclass(frozen=True, eq=False)
class Splats:
    """Discs of one radius: column, row, depth to the viewer (M,) in pixels; colours (M, 3)."""

    column: Floats
    row: Floats
    depth: Floats
    colors: Bytes
    radius: float


def draw(splats: list[Splats], size: int) -> tuple[Bytes, NDArray[np.float32]]:
    """Draw discs, the nearest in front.

    Returns:
        Colours (size, size, 3), zero where nothing is, and depth (size, size), there -inf.
    """
    depth = np.full(size * size, -np.inf, np.float32)
    owner = np.full(size * size, -1, np.int64)
    first = 0
    for group in splats:
        _draw_group(group, first, size, depth, owner)
        first += len(group.depth)
    colors = np.concatenate([*(group.colors for group in splats), np.zeros((1, 3), np.uint8)])
    return colors[owner].reshape(size, size, 3), depth.reshape(size, size)


def _draw_group(
    group: Splats, first: int, size: int, depth: NDArray[np.float32], owner: NDArray[np.int64]
) -> None:
    # Of equal pixel indices the last assignment stays: far to near, the nearest.
    order = np.argsort(group.depth, kind="stable")
    column = np.floor(group.column[order]).astype(np.int64)
    row = np.floor(group.row[order]).astype(np.int64)
    near = group.depth[order].astype(np.float32)
    reach = int(np.ceil(group.radius))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            rest = group.radius**2 - dx * dx - dy * dy
            if rest < 0:
                continue
            c, r = column + dx, row + dy
            inside = (c >= 0) & (c < size) & (r >= 0) & (r < size)
            pixel, here = (r * size + c)[inside], near[inside] + np.float32(np.sqrt(rest))
            wins = here > depth[pixel]
            pixel, here, who = pixel[wins], here[wins], order[inside][wins]
            depth[pixel] = here
            owner[pixel] = who + first


def outline(
    depth: NDArray[np.float32], reach: int, gap: float, strength: float
) -> NDArray[np.float32]:
    """Return the light (size, size) on each pixel: 1, less where nearer things rise beside it.

    Args:
        depth: Towards the viewer in pixels, -inf where nothing is.
        reach: How far beside it, in pixels.
        gap: Steps of depth that leave the light at 1, in pixels.
        strength: Largest loss of light.
    """
    padded = np.pad(depth, reach, constant_values=-np.inf)
    height, width = depth.shape
    light = np.zeros(depth.shape, np.float32)
    drawn = depth > -np.inf
    floor = np.where(drawn, depth, np.float32(0))
    for dx, dy in _NEIGHBOURS:
        there = padded[
            reach + dy * reach : reach + dy * reach + height,
            reach + dx * reach : reach + dx * reach + width,
        ]
        rise = np.where(there > -np.inf, there - floor - gap, 0)
        light += np.clip(rise / gap, 0, 1)
    return np.where(drawn, 1 - strength * np.minimum(light / 4, 1), 1).astype(np.float32)


def shadow(column: Floats, row: Floats, size: int, darkness: float = 0.22) -> NDArray[np.float32]:
    """Return the light (size, size) on a ground below points that fall on these pixels.

    It is soft, so an eighth of the resolution is enough.
    """
    edge = -(-size // _COARSE)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    cells = (
        row[inside].astype(np.int64) // _COARSE * edge + column[inside].astype(np.int64) // _COARSE
    )
    count = np.bincount(cells, minlength=edge * edge).reshape(edge, edge).astype(np.float32)
    # Sparse points are to throw one shadow, not one each.
    blur = float(np.clip(0.45 * edge / np.sqrt(max(len(cells), 1)), edge / 90, edge / 25))
    soft = gaussian_filter(count, blur, truncate=3)
    high = float(np.quantile(soft[soft > soft.max() * 1e-3], 0.8)) if len(cells) else 1.0
    light = 1 - darkness * (1 - np.exp(-1.2 * soft / high))
    return np.asarray(zoom(light, _COARSE, order=1)[:size, :size], np.float32)

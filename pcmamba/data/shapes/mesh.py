"""Triangle soups with part labels, and the solids that families are built from.

Corners run counter-clockwise seen from outside, so that face normals point outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.shapes.dice import Array, cos_sin


@dataclass(frozen=True)
class Mesh:
    """Triangles, each with the number of its part.

    Attributes:
        corners: (T, 3, 3) float64, triangle by corner by axis.
        part: (T,) int64.
    """

    corners: Array
    part: NDArray[np.int64]

    def __add__(self, other: Mesh) -> Mesh:
        return Mesh(
            np.concatenate([self.corners, other.corners]), np.concatenate([self.part, other.part])
        )

    def labelled(self, part: int) -> Mesh:
        """Return the mesh as part number `part`."""
        return replace(self, part=np.full_like(self.part, part))

    def moved(self, x: float, y: float, z: float) -> Mesh:
        """Return the mesh shifted by (x, y, z)."""
        return replace(self, corners=self.corners + np.array([x, y, z]))

    def scaled(self, x: float, y: float, z: float) -> Mesh:
        """Return the mesh with its axes multiplied by positive factors."""
        return replace(self, corners=self.corners * np.array([x, y, z]))

    def turned(self, turns: float) -> Mesh:
        """Return the mesh rotated about z by `turns` full turns."""
        cos, sin = cos_sin(turns)
        x, y, z = np.moveaxis(self.corners, -1, 0)
        return replace(self, corners=np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1))

    def tipped(self, turns: float) -> Mesh:
        """Return the mesh rotated about y by `turns` full turns, from z towards x."""
        cos, sin = cos_sin(turns)
        x, y, z = np.moveaxis(self.corners, -1, 0)
        return replace(self, corners=np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1))


def hexahedron(bottom: Sequence[Sequence[float]], top: Sequence[Sequence[float]]) -> Mesh:
    """Build a solid of six faces from two rings of four points, counter-clockwise from above."""
    a, b, c, d, e, f, g, h = (np.asarray(p, dtype=np.float64) for p in [*bottom, *top])
    quads = [(a, d, c, b), (e, f, g, h), (a, b, f, e), (b, c, g, f), (c, d, h, g), (d, a, e, h)]
    corners = [[p, q, r] for p, q, r, _ in quads] + [[p, r, s] for p, _, r, s in quads]
    return Mesh(np.array(corners), np.zeros(12, dtype=np.int64))


def box(x: float, y: float, z: float) -> Mesh:
    """Build a box of the given edges, centred in x and y and standing on z = 0."""
    ring = [(-x / 2, -y / 2), (x / 2, -y / 2), (x / 2, y / 2), (-x / 2, y / 2)]
    return hexahedron([(*p, 0.0) for p in ring], [(*p, z) for p in ring])


def _sheet(grid: Array) -> Mesh:
    """Turn a grid (U, V, 3) of points into triangles, facing the side of du × dv."""
    a, b = grid[:-1, :-1], grid[1:, :-1]
    c, d = grid[1:, 1:], grid[:-1, 1:]
    corners = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)
    corners = corners.reshape(-1, 3, 3)
    return Mesh(corners, np.zeros(len(corners), dtype=np.int64))


def revolve(profile: Sequence[tuple[float, float]], segments: int = 24) -> Mesh:
    """Turn a profile of (radius, z) about the z axis; one that runs upwards faces outwards."""
    radius, z = np.array(profile, dtype=np.float64).T
    cos, sin = cos_sin(np.arange(segments + 1) / segments)
    grid = np.stack(
        [cos[:, None] * radius, sin[:, None] * radius, np.broadcast_to(z, (segments + 1, len(z)))],
        axis=-1,
    )
    return _sheet(grid)


def frustum(low: float, high: float, height: float, segments: int = 24) -> Mesh:
    """Build a closed frustum with radii `low` at z = 0 and `high` at z = height."""
    return revolve([(0.0, 0.0), (low, 0.0), (high, height), (0.0, height)], segments)


def ellipsoid(x: float, y: float, z: float) -> Mesh:
    """Build an ellipsoid of the given half-axes about the origin."""
    cos, sin = cos_sin(np.arange(-6, 7) / 24.0)
    profile = list(zip(cos.tolist(), sin.tolist(), strict=True))
    return revolve(profile).scaled(x, y, z)


def tube(path: Array, radius: float, *, flat: Sequence[float], segments: int = 10) -> Mesh:
    """Sweep a circle along a planar path, open at its ends.

    Args:
        path: (P, 3) points; one that ends where it begins makes a ring.
        radius: Of the circle; in the path's plane it is kept across bends only nearly.
        flat: Unit vector (3,) across the plane of the path.
        segments: Corners of the circle; 4 makes a square bar.
    """
    path = np.asarray(path, dtype=np.float64)
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    closed = bool((path[0] == path[-1]).all())
    along[0] = path[1] - (path[-2] if closed else path[0])
    along[-1] = along[0] if closed else path[-1] - path[-2]
    along /= np.sqrt((along * along).sum(axis=1, keepdims=True))
    binormal = np.broadcast_to(np.asarray(flat, dtype=np.float64), path.shape)
    normal = np.cross(binormal, along)
    cos, sin = cos_sin((np.arange(segments + 1) + 0.5) / segments)
    circle = cos[:, None, None] * normal + sin[:, None, None] * binormal
    return _sheet(path + radius * circle)


def bar(start: Sequence[float], end: Sequence[float], radius: float, segments: int = 4) -> Mesh:
    """Build a straight bar between two points."""
    path = np.array([start, end], dtype=np.float64)
    along = path[1] - path[0]
    # Any direction across the bar: along × the axis it is least parallel to.
    axis = np.zeros(3)
    axis[int(np.argmin(np.abs(along)))] = 1.0
    across = np.cross(along, axis)
    return tube(path, radius, flat=across / np.sqrt((across * across).sum()), segments=segments)

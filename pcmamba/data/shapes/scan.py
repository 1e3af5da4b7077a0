"""From a mesh to points as a poor scanner would see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.shapes.dice import Array, Dice
from pcmamba.data.shapes.mesh import Mesh


@dataclass(frozen=True)
class Scan:
    """Points on the surface of a solid.

    Attributes:
        points: (N, 3) float64.
        normals: (N, 3) float64 unit vectors, of the surface before noise.
        part: (N,) int64.
    """

    points: Array
    normals: Array
    part: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.int64]) -> Scan:
        return Scan(self.points[chosen], self.normals[chosen], self.part[chosen])


@dataclass(frozen=True)
class Defects:
    """How bad scans are; lengths in units of the solid's radius. Each scan draws its own share.

    Attributes:
        missing: Largest share of the surface that is lost.
        thinning: Density at the far side relative to the near side, at the worst.
        noise: Largest standard deviation of the points' positions.
        outliers: Largest share of points that lie off the surface.
        outlier_distance: Their largest distance on each axis.

    Raises:
        ValueError: A share is not in 0 … 1 (`missing` below 1, `thinning` above 0), or a length is
            negative.
    """

    missing: float = 0.35
    thinning: float = 0.3
    noise: float = 0.015
    outliers: float = 0.02
    outlier_distance: float = 0.4

    def __post_init__(self) -> None:
        rules = {
            "missing": 0 <= self.missing < 1,
            "thinning": 0 < self.thinning <= 1,
            "noise": self.noise >= 0,
            "outliers": 0 <= self.outliers <= 1,
            "outlier_distance": self.outlier_distance >= 0,
        }
        for name, holds in rules.items():
            if not holds:
                raise ValueError(
                    f"{name} must be a share in 0 … 1 or a length of at least 0, "
                    f"got {getattr(self, name)}"
                )


def sample_surface(mesh: Mesh, count: int, dice: Dice) -> Scan:
    """Draw `count` points, area-uniform."""
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    cross = np.cross(b - a, c - a)
    area = np.sqrt((cross * cross).sum(axis=1))
    reached = np.cumsum(area)
    chosen = np.searchsorted(reached, dice.uniforms(count) * reached[-1], side="right")
    u, v = dice.uniforms(2, count)
    fold = u + v > 1.0
    u, v = np.where(fold, 1.0 - u, u)[:, None], np.where(fold, 1.0 - v, v)[:, None]
    a, b, c = a[chosen], b[chosen], c[chosen]
    normals = cross[chosen] / area[chosen, None]
    return Scan(a + u * (b - a) + v * (c - a), normals, mesh.part[chosen])


def scan(mesh: Mesh, count: int, defects: Defects, dice: Dice) -> Scan:
    """Scan a mesh: lose a part, thin out towards one side, add noise and outliers, normalise.

    Returns:
        `count` points in random order, centred on their mean, the farthest at distance 1.
    """
    spare = int(2.0 * count / (1.0 - defects.missing))
    cloud = normalise(sample_surface(mesh, spare, dice))
    cloud = cloud[_visible(cloud.points, dice.uniform(0.0, defects.missing), dice)]
    cloud = cloud[_thinned(cloud.points, dice.uniform(defects.thinning, 1.0), count, dice)]
    moved = cloud.points + dice.uniform(0.0, defects.noise) * dice.bells(count, 3)
    lost = int(dice.uniform(0.0, defects.outliers) * count)
    moved[:lost] += defects.outlier_distance * (2.0 * dice.uniforms(lost, 3) - 1.0)
    order = np.argsort(dice.uniforms(count), kind="stable")
    return normalise(Scan(moved, cloud.normals, cloud.part)[order])


def normalise(cloud: Scan) -> Scan:
    """Centre the points on their mean and bring the farthest to distance 1."""
    points = cloud.points - cloud.points.mean(axis=0)
    radius = np.sqrt((points * points).sum(axis=1).max())
    return Scan(points / radius, cloud.normals, cloud.part)


def _visible(points: Array, share: float, dice: Dice) -> NDArray[np.int64]:
    """Choose all points but `share` of them, lost to a plane cut or to a ball-shaped bite."""
    direction = dice.direction()
    if dice.chance(0.5):
        depth = (points * direction).sum(axis=1)
    else:
        offset = points - points[int(dice.uniform(0.0, len(points)))]
        depth = -(offset * offset).sum(axis=1)
    order = np.argsort(depth, kind="stable")
    return np.sort(order[: len(points) - int(share * len(points))])


def _thinned(points: Array, far: float, count: int, dice: Dice) -> NDArray[np.int64]:
    """Choose `count` points with a density that falls linearly, to `far`, along a direction."""
    depth = (points * dice.direction()).sum(axis=1)
    depth = (depth - depth.min()) / (depth.max() - depth.min())
    density = 1.0 - (1.0 - far) * depth
    order = np.argsort(dice.uniforms(len(points)) / density, kind="stable")
    return order[:count]

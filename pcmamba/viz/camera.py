"""Where a cloud is looked at from: parallel rays, z upright."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Direction to the viewer.

    Attributes:
        azimuth: Degrees about z, counted from x towards y.
        elevation: Degrees above the ground.
    """

    azimuth: float = -55.0
    elevation: float = 22.0

    def rows(self) -> Floats:
        """Return the unit vectors (3, 3) to the right, up, and towards the viewer."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        ca, sa, ce, se = np.cos(a), np.sin(a), np.cos(e), np.sin(e)
        return np.array([[-sa, ca, 0.0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]])

    def project(self, xyz: NDArray[np.floating], centre: NDArray[np.floating]) -> Floats:
        """Return (N, 3): right, up and towards the viewer of `centre`, in units of the points."""
        return np.asarray((xyz - centre) @ self.rows().T, dtype=np.float64)


@dataclass(frozen=True)
class Frame:
    """A square of the picture: what of the projected plane it shows.

    Attributes:
        centre: (right, up) in the middle of the square.
        scale: Pixels a unit.
        size: Pixels an edge.
    """

    centre: tuple[float, float]
    scale: float
    size: int

    def pixels(self, projected: Floats) -> tuple[Floats, Floats, Floats]:
        """Return column, row and depth towards the viewer, all in pixels."""
        column = self.size / 2 + (projected[:, 0] - self.centre[0]) * self.scale
        row = self.size / 2 - (projected[:, 1] - self.centre[1]) * self.scale
        return column, row, projected[:, 2] * self.scale


def fit(projected: Floats, size: int, margin: float = 0.06) -> Frame:
    """Show all of the projected points, as large as they fit with a margin of the edge."""
    low, high = projected[:, :2].min(axis=0), projected[:, :2].max(axis=0)
    extent = float((high - low).max()) or 1.0
    right, up = ((low + high) / 2).tolist()
    return Frame((right, up), size * (1 - 2 * margin) / extent, size)


def fit_all_round(xyz: NDArray[np.floating], centre: Floats, elevation: float, size: int) -> Frame:
    """Show all of the points from every azimuth at one scale, for a turn about z."""
    moved = xyz - centre
    radius = float(np.hypot(moved[:, 0], moved[:, 1]).max())
    e = np.radians(elevation)
    heights = np.array([moved[:, 2].min(), moved[:, 2].max()]) * np.cos(e)
    low, high = heights[0] - radius * np.sin(e), heights[1] + radius * np.sin(e)
    extent = max(2 * radius, float(high - low)) or 1.0
    return Frame((0.0, float(low + high) / 2), size * 0.88 / extent, size)

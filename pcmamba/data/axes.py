"""Which axis points up: turning clouds to the library's frame, and telling it from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

UP_AXES = ("x", "y", "z")

# Cyclic exchanges of axes: right-handed rotations, never a mirror.
_TO_Z = {"x": [1, 2, 0], "y": [2, 0, 1], "z": [0, 1, 2]}

Vectors = TypeVar("Vectors", np.ndarray, Tensor)

# Where the surface of a class gathers along its vertical: +1 above, -1 below the middle of its
# extent. Such classes stand, and their fronts, backs and sides lean far less or cancel out.
LEAN_OF_CLASS = {
    "bed": -1,
    "bench": 1,
    "bottle": -1,
    "car": -1,
    "cone": -1,
    "desk": 1,
    "night_stand": 1,
    "stool": 1,
    "table": 1,
    "tent": -1,
}
_LEAST_CLASSES = 3
_LEAST_SCORE = 0.05
_LEAST_RATIO = 2.0


def check_up_axis(up_axis: str) -> None:
    """Raise ValueError unless `up_axis` is x, y or z."""
    if up_axis not in UP_AXES:
        raise ValueError(f"up_axis must be x, y or z, got {up_axis!r}")


def to_z_up(vectors: Vectors, up_axis: str) -> Vectors:
    """Rotate vectors (..., 3) so that `up_axis` becomes z, by a cyclic exchange of the axes.

    Values are moved and never computed, so they stay bit for bit. The same rotation as in
    `pcmamba.models.preprocessing`. "z" returns the argument itself.

    Raises:
        ValueError: `up_axis` is not x, y or z.
    """
    check_up_axis(up_axis)
    return vectors if up_axis == "z" else vectors[..., _TO_Z[up_axis]]


@dataclass(frozen=True)
class AxisEstimate:
    """Which axis the shapes stand on, and how clearly.

    Attributes:
        axis: x, y or z.
        scores: Lean along x, y and z in the expected direction, as a fraction of the extent.
        classes: Names of the classes that were compared.
    """

    axis: str
    scores: tuple[float, float, float]
    classes: tuple[str, ...]

    def __str__(self) -> str:
        parts = ", ".join(f"{a} {s:+.3f}" for a, s in zip(UP_AXES, self.scores, strict=True))
        return f"up axis {self.axis}, told from {len(self.classes)} standing classes (lean {parts})"


def estimate_up_axis(
    points: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> AxisEstimate:
    """Tell which axis points up from classes whose surface gathers at the top or the bottom.

    Along an axis, a shape's lean is (mean - middle) / extent of its points: tables and stools lean
    up, cones, tents and beds lean down, and along horizontal axes the lean is near 0. The score of
    an axis is the mean over the classes of `LEAN_OF_CLASS` of the median lean, with the expected
    sign. Turning the data turns the scores with it.

    Args:
        points: (S, N, 3) shapes, each in any scale and place.
        labels: (S,) class numbers.
        class_names: Name of each class number.

    Raises:
        ValueError: Fewer than 3 of the classes are present, no axis leads clearly, or the shapes
            stand on their heads.
    """
    leans = {
        name: LEAN_OF_CLASS[name] * _median_lean(points[labels == label])
        for label, name in enumerate(class_names)
        if name in LEAN_OF_CLASS and bool((labels == label).any())
    }
    if len(leans) < _LEAST_CLASSES:
        raise ValueError(
            f"up_axis must be given for data with fewer than {_LEAST_CLASSES} of the classes "
            f"{', '.join(LEAN_OF_CLASS)}, got {', '.join(leans) or 'none'}"
        )
    scores = np.mean(list(leans.values()), axis=0)
    return AxisEstimate(_leader(scores), tuple(scores.tolist()), tuple(leans))


def _median_lean(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=1), points.max(axis=1)
    extent = high - low
    offset = points.mean(axis=1, dtype=np.float64) - (low + high) / 2.0
    # A flat shape leans nowhere along its flat axis.
    lean = np.divide(offset, extent, out=np.zeros_like(offset), where=extent > 0)
    median: np.ndarray = np.median(lean, axis=0)
    return median


def _leader(scores: np.ndarray) -> str:
    """Name the axis whose score leads clearly and upwards."""
    second, first = np.argsort(np.abs(scores), kind="stable")[-2:]
    said = ", ".join(f"{a} {s:+.3f}" for a, s in zip(UP_AXES, scores, strict=True))
    leads = abs(scores[first]) >= max(_LEAST_SCORE, _LEAST_RATIO * abs(scores[second]))
    if not leads:
        raise ValueError(f"up_axis must be given, no axis leads clearly (lean {said})")
    if scores[first] < 0:
        raise ValueError(
            f"points must not stand on their heads, got -{UP_AXES[first]} up (lean {said}); "
            "turn the data, or give up_axis to take it as it is"
        )
    return UP_AXES[first]

"""Random size, per axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("scale")
@dataclass(frozen=True)
class Scale:
    """Multiply coordinates about the origin by factors drawn from U(low, high).

    Three factors per cloud, or one with `isotropic`. Features are kept.

    Raises:
        ValueError: Not 0 < low <= high.
    """

    low: float
    high: float
    isotropic: bool = False
    stream: str = "scale"

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ValueError(f"low, high must satisfy 0 < low <= high, got {self.low}, {self.high}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Scale the points."""
        axes = 1 if self.isotropic else 3
        unit = draw.uniform(batch.index, self.stream, (1, axes))
        return replace(batch, points=batch.points * (self.low + (self.high - self.low) * unit))

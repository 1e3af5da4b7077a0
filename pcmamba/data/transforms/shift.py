"""Random position."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("shift")
@dataclass(frozen=True)
class Shift:
    """Add one offset per cloud, drawn from U(-distance, distance) on each axis.

    Raises:
        ValueError: `distance` is negative.
    """

    distance: float
    stream: str = "shift"

    def __post_init__(self) -> None:
        if self.distance < 0:
            raise ValueError(f"distance must be at least 0, got {self.distance}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Move the points; features are kept."""
        unit = draw.uniform(batch.index, self.stream, (1, 3))
        return replace(batch, points=batch.points + self.distance * (2.0 * unit - 1.0))

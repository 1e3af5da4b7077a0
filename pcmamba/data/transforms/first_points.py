"""The first points of each cloud, for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("first_points")
@dataclass(frozen=True)
class FirstPoints:
    """Keep the first `num_points` of each cloud in stored order; nothing is random.

    Raises:
        ValueError: `num_points` is below 1, or (when called) above the points of the clouds.
    """

    num_points: int

    def __post_init__(self) -> None:
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Slice points and features."""
        size = batch.points.shape[1]
        if self.num_points > size:
            raise ValueError(
                f"num_points must be at most the clouds' {size}, got {self.num_points}"
            )
        features = None if batch.features is None else batch.features[:, : self.num_points]
        return replace(batch, points=batch.points[:, : self.num_points], features=features)

"""A random choice of points."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("random_subset")
@dataclass(frozen=True)
class RandomSubset:
    """Keep `num_points` of each cloud's points, drawn without replacement, in random order.

    With all points asked for, it shuffles them.

    Raises:
        ValueError: `num_points` is below 1, or (when called) above the points of the clouds.
    """

    num_points: int
    stream: str = "random_subset"

    def __post_init__(self) -> None:
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Gather the drawn points and their features."""
        size = batch.points.shape[1]
        if self.num_points > size:
            raise ValueError(
                f"num_points must be at most the clouds' {size}, got {self.num_points}"
            )
        chosen = draw.permutation(batch.index, self.stream, size)[:, : self.num_points, None]
        features = batch.features
        if features is not None:
            features = features.gather(1, chosen.expand(-1, -1, features.shape[2]))
        points = batch.points.gather(1, chosen.expand(-1, -1, 3))
        return replace(batch, points=points, features=features)

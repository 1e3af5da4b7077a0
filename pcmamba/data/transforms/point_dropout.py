"""Random loss of points at constant size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("point_dropout")
@dataclass(frozen=True)
class PointDropout:
    """Replace a part of the points, up to `max_ratio` and drawn per cloud, by the cloud's first.

    Raises:
        ValueError: `max_ratio` is not in 0 … 1.

    Source: Qi et al., PointNet++ (2017), the random input dropout of its training.
    """

    max_ratio: float = 0.875
    stream: str = "point_dropout"

    def __post_init__(self) -> None:
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"max_ratio must be in 0 … 1, got {self.max_ratio}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Overwrite dropped points and their features in a copy."""
        unit = draw.uniform(batch.index, self.stream, (batch.points.shape[1] + 1,))
        dropped = (unit[:, 1:] < self.max_ratio * unit[:, :1])[..., None]
        points = torch.where(dropped, batch.points[:, :1], batch.points)
        features = batch.features
        if features is not None:
            features = torch.where(dropped, features[:, :1], features)
        return replace(batch, points=points, features=features)

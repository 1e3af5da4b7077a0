"""Random noise on every point."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("jitter")
@dataclass(frozen=True)
class Jitter:
    """Add normal noise of standard deviation `sigma`, clipped to ±`clip`, to every coordinate.

    Raises:
        ValueError: `sigma` or `clip` is negative.
    """

    sigma: float = 0.01
    clip: float = 0.05
    stream: str = "jitter"

    def __post_init__(self) -> None:
        if self.sigma < 0 or self.clip < 0:
            raise ValueError(f"sigma, clip must be at least 0, got {self.sigma}, {self.clip}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Move every point on its own; features are kept."""
        noise = self.sigma * draw.normal(batch.index, self.stream, batch.points.shape[1:])
        return replace(batch, points=batch.points + noise.clamp(-self.clip, self.clip))

"""Random mirror images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("flip")
@dataclass(frozen=True)
class Flip:
    """Mirror x, and independently y, each with `probability`; z, the up axis, is kept.

    Raises:
        ValueError: `probability` is not in 0 … 1.
    """

    probability: float = 0.5
    stream: str = "flip"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in 0 … 1, got {self.probability}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Change signs; features are kept."""
        unit = draw.uniform(batch.index, self.stream, (1, 3))
        sign = 1.0 - 2.0 * (unit < self.probability).to(batch.points.dtype)
        sign[..., 2] = 1.0
        return replace(batch, points=batch.points * sign)

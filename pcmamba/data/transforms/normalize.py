"""Centre and size brought to a standard."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("normalize")
@dataclass(frozen=True)
class Normalize:
    """Move each cloud's mean to the origin, then bring its farthest point to distance 1.

    A cloud of equal points stays at the origin. Nothing is random; features are kept.
    """

    centre: bool = True
    unit_sphere: bool = True

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Return the batch in its standard frame."""
        points = batch.points
        if self.centre:
            # Summed in float64: the order of a float32 sum may depend on the size of the batch.
            points = points - points.double().mean(dim=1, keepdim=True).to(points.dtype)
        if self.unit_sphere:
            radius2 = (points * points).sum(dim=-1).amax(dim=1)[:, None, None]
            points = points / radius2.sqrt().clamp_min(1e-12)
        return replace(batch, points=points)

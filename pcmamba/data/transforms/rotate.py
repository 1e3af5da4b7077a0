"""Random rotation about the up axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS


@TRANSFORMS.register("rotate")
@dataclass(frozen=True)
class Rotate:
    """Turn each cloud about z by an angle drawn from U(-max_angle, max_angle), in radians.

    Features are kept: direction vectors among them would need turning too.

    Raises:
        ValueError: `max_angle` is negative.
    """

    max_angle: float = math.pi
    stream: str = "rotate"

    def __post_init__(self) -> None:
        if self.max_angle < 0:
            raise ValueError(f"max_angle must be at least 0, got {self.max_angle}")

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Rotate the points."""
        unit = draw.uniform(batch.index, self.stream, (1,))
        # In float64, so that sine and cosine round alike on every device.
        angle = self.max_angle * (2.0 * unit.double() - 1.0)
        cos, sin = torch.cos(angle).float(), torch.sin(angle).float()
        x, y, z = batch.points.unbind(-1)
        return replace(batch, points=torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1))

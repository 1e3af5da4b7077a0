"""Random position on the sensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import keep, places


@TRANSFORMS.register("shift_events")
@dataclass(frozen=True)
class ShiftEvents:
    """Move each recording by whole pixels, up to `distance` along both axes.

    Events that leave the sensor are lost; where none come from there is background.

    Raises:
        ValueError: `distance` is negative.
    """

    distance: int
    stream: str = "shift_events"

    def __post_init__(self) -> None:
        if self.distance < 0:
            raise ValueError(f"distance must be at least 0, got {self.distance}")

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Draw a step along x and one along y for each recording."""
        row, _ = places(batch)
        unit = draw.uniform(batch.index, self.stream, (2,))
        step = (unit * (2 * self.distance + 1)).int() - self.distance
        x, y = batch.x.int() + step[row, 0], batch.y.int() + step[row, 1]
        height, width = batch.resolution_hw
        stays = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return keep(replace(batch, x=x.to(torch.int16), y=y.to(torch.int16)), stays)

"""Random noise on the times of events."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import places


@TRANSFORMS.register("time_jitter")
@dataclass(frozen=True)
class TimeJitter:
    """Add normal noise of standard deviation `sigma` microseconds to every time and sort anew.

    Times are rounded and end at 0; events that then share one keep their order.

    Raises:
        ValueError: `sigma` is negative.
    """

    sigma: float = 1000.0
    stream: str = "time_jitter"

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise ValueError(f"sigma must be at least 0, got {self.sigma}")

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Move the times and bring the events of each recording into their order."""
        row, number = places(batch)
        noise = self.sigma * draw.normal_at(batch.index, self.stream, row, number)
        times = (batch.t + noise.round().long()).clamp(min=0)
        order = torch.argsort(times, stable=True)
        order = order[torch.argsort(row[order], stable=True)]
        columns = {name: getattr(batch, name)[order] for name in "xyp"}
        return replace(batch, **columns, t=times[order])

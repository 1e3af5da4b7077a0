"""Random exchange of brighter and darker."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import check_share, places


@TRANSFORMS.register("flip_polarity")
@dataclass(frozen=True)
class FlipPolarity:
    """Exchange both polarities of a recording with `probability`.

    Raises:
        ValueError: `probability` is not in 0 … 1.
    """

    probability: float = 0.5
    stream: str = "flip_polarity"

    def __post_init__(self) -> None:
        check_share("probability", self.probability)

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Draw one answer per recording."""
        row, _ = places(batch)
        flipped = draw.uniform(batch.index, self.stream) < self.probability
        return replace(batch, p=torch.where(flipped[row], 1 - batch.p, batch.p))

"""Random loss of events."""

from __future__ import annotations

from dataclasses import dataclass

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import check_share, keep, places


@TRANSFORMS.register("drop_events")
@dataclass(frozen=True)
class DropEvents:
    """Leave out a part of the events, up to `max_ratio` and drawn per recording.

    Raises:
        ValueError: `max_ratio` is not in 0 … 1.

    Source: Gu et al., EventDrop (IJCAI 2021), its random drop.
    """

    max_ratio: float = 0.2
    stream: str = "drop_events"

    def __post_init__(self) -> None:
        check_share("max_ratio", self.max_ratio)

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Draw a ratio per recording, then for each event whether it stays."""
        row, number = places(batch)
        ratio = self.max_ratio * draw.uniform(batch.index, self.stream)
        unit = draw.uniform_at(batch.index, self.stream, row, number + 1)
        return keep(batch, unit >= ratio[row])

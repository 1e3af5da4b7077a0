"""Removal of events that no neighbour announces."""

from __future__ import annotations

from dataclasses import dataclass

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import keep
from pcmamba.ops.denoise_events import denoise_events


@TRANSFORMS.register("denoise")
@dataclass(frozen=True)
class Denoise:
    """Keep the events that follow one of a neighbouring pixel within `window` microseconds.

    Nothing is random. See `denoise_events`.

    Raises:
        ValueError: `window` is negative, or `neighbours` is not 4 or 8.
    """

    window: int = 10_000
    neighbours: int = 8

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError(f"window must be at least 0, got {self.window}")
        if self.neighbours not in (4, 8):
            raise ValueError(f"neighbours must be 4 or 8, got {self.neighbours}")

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Filter each recording by its own events."""
        kept = denoise_events(
            batch.x, batch.y, batch.t, window=self.window, resolution_hw=batch.resolution_hw,
            neighbours=self.neighbours, offsets=batch.offsets,
        )  # fmt: skip
        return keep(batch, kept)

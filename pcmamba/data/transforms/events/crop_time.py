"""Random parts of recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import check_share, keep, places


@TRANSFORMS.register("crop_time")
@dataclass(frozen=True)
class CropTime:
    """Keep one stretch of each recording's time, drawn between `min_ratio` of it and all of it.

    Times are then counted from the beginning of the stretch.

    Raises:
        ValueError: `min_ratio` is not in 0 … 1.
    """

    min_ratio: float = 0.8
    stream: str = "crop_time"

    def __post_init__(self) -> None:
        check_share("min_ratio", self.min_ratio)

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Draw the length and the place of the stretch of each recording."""
        if len(batch.t) == 0:
            return batch
        row, _ = places(batch)
        first = batch.t[batch.offsets[:-1].clamp(max=len(batch.t) - 1)]
        last = batch.t[(batch.offsets[1:] - 1).clamp(min=0)]
        unit = draw.uniform(batch.index, self.stream, (2,)).double()
        span = (last - first).double()
        length = span * (self.min_ratio + (1.0 - self.min_ratio) * unit[:, 0])
        start = first + (unit[:, 1] * (span - length)).floor().long()
        stop = start + length.ceil().long()
        inside = (batch.t >= start[row]) & (batch.t <= stop[row])
        return keep(replace(batch, t=batch.t - start[row]), inside)

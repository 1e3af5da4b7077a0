"""What transforms of events share: whose an event is, and leaving events out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pcmamba.data.batch import EventBatch


def places(batch: EventBatch) -> tuple[Tensor, Tensor]:
    """Return the recording (E,) of each event and its number (E,) in it, int64."""
    size, device = len(batch.t), batch.t.device
    recordings = torch.arange(len(batch), device=device)
    # Told the size, a GPU need not be waited for.
    row = torch.repeat_interleave(recordings, batch.offsets.diff(), output_size=size)
    return row, torch.arange(size, device=device) - batch.offsets[row]


def keep(batch: EventBatch, kept: Tensor) -> EventBatch:
    """Return the batch of the events where `kept` (E,) is true; recordings may become empty."""
    before = torch.cat([kept.new_zeros(1, dtype=torch.int64), kept.cumsum(0)])
    chosen = kept.nonzero()[:, 0]
    columns = {name: getattr(batch, name)[chosen] for name in "xytp"}
    return replace(batch, **columns, offsets=before[batch.offsets])


def check_share(name: str, value: float) -> None:
    """Check a probability or a share.

    Raises:
        ValueError: It is not in 0 … 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in 0 … 1, got {value}")

"""How far the simplest classifier gets: the class of the nearest known example."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.data.event_set import EventSet
from pcmamba.ops import event_histogram


def nearest_labels(known: Tensor, labels: Tensor, asked: Tensor, power: int) -> Tensor:
    """Return the label of the nearest known example, (Q,) int64.

    Args:
        known: (S, C) float32.
        labels: (S,) int64 of the known.
        asked: (Q, C) float32.
        power: Distances are sums of differences to this power: 1 or 2.
    """
    return labels[torch.cdist(asked, known, p=float(power)).argmin(dim=1)]


def time_sums(events: EventSet) -> dict[str, Tensor]:
    """Describe each recording by what it shows without time: (S, C) float32 by name.

    Counts of all events at each pixel, of each polarity, where anything happened, and the counts
    moved so that their middle is the picture's.
    """
    recordings = (events.x, events.y, events.t, events.p)
    counts = event_histogram(
        *recordings, bins=1, resolution_hw=events.resolution_hw, offsets=events.offsets
    )[:, 0].float()
    total = counts.sum(dim=1)
    return {
        "sum": total.flatten(1),
        "each polarity": counts.flatten(1),
        "anything": (total > 1).float().flatten(1),
        "sum, centred": torch.stack([_centred(image) for image in total]).flatten(1),
        "each polarity, centred": torch.stack([_centred(image) for image in counts]).flatten(1),
    }


def _centred(image: Tensor) -> Tensor:
    """Roll (..., H, W) so that its mean place, by counts, comes to the middle."""
    height, width = image.shape[-2:]
    total = image.reshape(-1, height, width).sum(dim=0)
    weight = total.sum().clamp(min=1.0)
    row = float((total.sum(dim=1) * torch.arange(height)).sum() / weight)
    column = float((total.sum(dim=0) * torch.arange(width)).sum() / weight)
    return image.roll((height // 2 - round(row), width // 2 - round(column)), dims=(-2, -1))

"""Inverse of a neighbour table by a stable sort, on any device and without a host wait."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_table(idx: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
    """List for each support point the slots of `idx` that name it.

    Args:
        idx: (B, S) int64 flattened neighbour table; -1 is padding, as is every other index
            outside the cloud.
        num_points: N support points a cloud.

    Returns:
        start: (B, N + 1) int64; point n owns the slots from start[n] to before start[n + 1].
        slot: (B, S) int64 slots sorted by point, rising for each point, padding last.
    """
    inside = (idx >= 0) & (idx < num_points)
    # A 32-bit sort is faster on a GPU.
    names, slot = torch.where(inside, idx, num_points).int().sort(dim=1, stable=True)
    points = torch.arange(num_points + 1, dtype=torch.int32, device=idx.device)
    return torch.searchsorted(names, points.repeat(idx.shape[0], 1)), slot

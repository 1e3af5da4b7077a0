"""Rows of ragged batches."""

from __future__ import annotations

import torch
from torch import Tensor


def cloud_of_row(offsets: Tensor, total: int) -> Tensor:
    """Return for each of `total` rows the cloud it belongs to, (total,) int64."""
    rows = torch.arange(total, device=offsets.device)
    return torch.searchsorted(offsets, rows, right=True) - 1

"""Rows taken and put back on the CPU, by torch's own copies of whole rows."""

from __future__ import annotations

import torch
from torch import Tensor


def permute_rows_fwd(x: Tensor, rows: Tensor) -> Tensor:
    """Return x[b, rows[b]] (B, M, C)."""
    flat = x.flatten(0, 1).index_select(0, _flat(rows, x.shape[1]))
    return flat.view(*rows.shape, x.shape[2])


def permute_rows_bwd(grad: Tensor, rows: Tensor, count: int) -> Tensor:
    """Return (B, count, C) with grad[b, m] at row rows[b, m], else zeros."""
    clouds, _, channels = grad.shape
    out = torch.zeros(clouds * count, channels, dtype=grad.dtype)
    out.index_copy_(0, _flat(rows, count), grad.flatten(0, 1))
    return out.view(clouds, count, channels)


def _flat(rows: Tensor, count: int) -> Tensor:
    return (rows + torch.arange(len(rows))[:, None] * count).flatten()

"""CPU loops of `group`: rows gathered with their centre added, and the gradients.

The gradient of a support point adds its slots in rising order, found by an inverse table: one
thread owns a row, so the sum is the same for any number of threads.
"""

from __future__ import annotations

import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.inverse_table_cpu import inverse_table


def group_fwd(feat: Tensor, idx: Tensor, centre: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return feat[idx] + centre (B, M, K, C) in `dtype`, zeros where idx is -1."""
    rows = feat.detach().float().contiguous()
    added = rows if centre is None else centre.detach().float().contiguous()
    out = torch.empty(*idx.shape, feat.shape[2])
    limit_threads()
    _gather_rows(
        rows.numpy(), idx.contiguous().numpy(), added.numpy(), centre is not None, out.numpy()
    )
    return out.to(dtype)


def group_bwd(
    grad: Tensor, idx: Tensor, num_points: int, has_centre: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `feat` (B, N, C) and of `centre` (B, M, C), empty without one.

    Both are of `dtype`.
    """
    clouds, queries, k, channels = grad.shape
    wide = grad.detach().float().contiguous().numpy()
    dfeat = torch.empty(clouds, num_points, channels)
    dcentre = torch.empty((clouds, queries, channels) if has_centre else (0,))
    start, slot = inverse_table(idx.reshape(clouds, queries * k), num_points)
    rows = wide.reshape(clouds, queries * k, channels)
    _sum_slots(rows, start.numpy(), slot.numpy(), dfeat.numpy())
    if has_centre:
        _sum_neighbours(wide, idx.contiguous().numpy(), dcentre.numpy())
    return dfeat.to(dtype), dcentre.to(dtype)


@njit(parallel=True, cache=True, error_model="numpy")
def _gather_rows(feat: Array, idx: Array, centre: Array, has_centre: bool, out: Array) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        for j in range(k):
            n = idx[b, m, j]
            target = out[b, m, j]
            if n < 0:
                for c in range(channels):
                    target[c] = 0
            elif has_centre:
                source, own = feat[b, n], centre[b, m]
                for c in range(channels):
                    target[c] = source[c] + own[c]
            else:
                source = feat[b, n]
                for c in range(channels):
                    target[c] = source[c]


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_slots(grad: Array, start: Array, slot: Array, out: Array) -> None:
    clouds, num_points, channels = out.shape
    for row in prange(clouds * num_points):
        b, n = row // num_points, row % num_points
        total = out[b, n]
        total[:] = 0
        for i in range(start[b, n], start[b, n + 1]):
            source = grad[b, slot[b, i]]
            for c in range(channels):
                total[c] += source[c]


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_neighbours(grad: Array, idx: Array, out: Array) -> None:
    clouds, queries, k = idx.shape
    channels = out.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        total = out[b, m]
        total[:] = 0
        for j in range(k):
            if idx[b, m, j] >= 0:
                source = grad[b, m, j]
                for c in range(channels):
                    total[c] += source[c]

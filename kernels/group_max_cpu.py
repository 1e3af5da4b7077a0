"""CPU loops of `group_max`: the running maximum of gathered rows, and its gradient.

The gradient of a support point adds the slots that name it in rising order: one thread owns a row,
so the sum is the same for any number of threads.
"""

from __future__ import annotations

import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.inverse_table_cpu import inverse_table

NOBODY = 255


def group_max_fwd(feat: Tensor, idx: Tensor, centre: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return max_k feat[idx] + centre (B, M, C) and the winners, 255 where all is padding."""
    rows = feat.detach().float().contiguous()
    added = rows if centre is None else centre.detach().float().contiguous()
    out = torch.empty(*idx.shape[:2], feat.shape[2])
    winner = torch.empty(out.shape, dtype=torch.uint8)
    limit_threads()
    tables = (rows.numpy(), idx.contiguous().numpy(), added.numpy(), centre is not None)
    _pool(*tables, out.numpy(), winner.numpy())
    return out.to(feat.dtype), winner


def group_max_bwd(grad: Tensor, idx: Tensor, winner: Tensor, num_points: int) -> Tensor:
    """Return the gradient of `feat` (B, N, C)."""
    clouds, queries, k = idx.shape
    start, slot = inverse_table(idx.reshape(clouds, queries * k), num_points)
    dfeat = torch.zeros(clouds, num_points, grad.shape[2])
    wide = grad.detach().float().contiguous()
    _scatter(wide.numpy(), winner.numpy(), start.numpy(), slot.numpy(), k, dfeat.numpy())
    return dfeat.to(grad.dtype)


@njit(parallel=True, cache=True, error_model="numpy")
def _pool(
    feat: Array, idx: Array, centre: Array, has_centre: bool, out: Array, winner: Array
) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        best, who = out[b, m], winner[b, m]
        best[:] = 0
        who[:] = NOBODY
        any_before = False
        for j in range(k):
            if idx[b, m, j] < 0:
                continue
            source = feat[b, idx[b, m, j]]
            for c in range(channels):
                value, top = source[c], best[c]
                wins = value > top or (value != value and top == top) or not any_before
                best[c] = value if wins else top
                who[c] = j if wins else who[c]
            any_before = True
        if has_centre and any_before:
            own = centre[b, m]
            for c in range(channels):
                best[c] += own[c]


@njit(parallel=True, cache=True, error_model="numpy")
def _scatter(grad: Array, winner: Array, start: Array, slot: Array, k: int, out: Array) -> None:
    clouds, num_points, channels = out.shape
    for row in prange(clouds * num_points):
        b, n = row // num_points, row % num_points
        total = out[b, n]
        for i in range(start[b, n], start[b, n + 1]):
            m, j = slot[b, i] // k, slot[b, i] % k
            source, who = grad[b, m], winner[b, m]
            for c in range(channels):
                total[c] += source[c] if who[c] == j else 0

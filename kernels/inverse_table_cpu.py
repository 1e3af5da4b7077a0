"""Inverse of a neighbour table on the CPU: a counting sort, each cloud by one thread."""

from __future__ import annotations

import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads


def inverse_table(idx: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
    """List for each support point the slots of `idx` that name it.

    Args:
        idx: (B, S) int64 flattened neighbour table; -1 is padding.
        num_points: N support points a cloud.

    Returns:
        start: (B, N + 1) int64; point n owns the slots from start[n] to before start[n + 1].
        slot: (B, S) int64 slots sorted by point, rising for each point, padding last.
    """
    clouds, slots = idx.shape
    start = torch.empty(clouds, num_points + 1, dtype=torch.int64)
    slot = torch.empty(clouds, slots, dtype=torch.int64)
    limit_threads()
    _counting_sort(idx.contiguous().numpy(), start.numpy(), slot.numpy())
    return start, slot


@njit(parallel=True, cache=True)
def _counting_sort(idx: Array, start: Array, slot: Array) -> None:
    clouds, slots = idx.shape
    num_points = start.shape[1] - 1
    for b in prange(clouds):
        first = start[b]
        first[:] = 0
        for s in range(slots):
            if idx[b, s] >= 0:
                first[idx[b, s] + 1] += 1
        for n in range(num_points):
            first[n + 1] += first[n]
        free = first.copy()
        for s in range(slots):
            n = idx[b, s] if idx[b, s] >= 0 else num_points
            slot[b, free[n]] = s
            free[n] += 1

"""CPU loop of the ball query: distances block by block until enough points are inside."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.knn_cpu import distance_row

TASK = 64
BLOCK = 256


def ball_query_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    radius: float,
    k: int,
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0."""
    idx = torch.full((len(query), k), -1, dtype=torch.int64)
    dist2 = torch.zeros(len(query), k)
    limit_threads()
    _inside(
        query.detach().contiguous().numpy(),
        support.detach().t().contiguous().numpy(),
        query_offsets.contiguous().numpy(),
        support_offsets.contiguous().numpy(),
        np.square(np.float32(radius)),
        idx.numpy(),
        dist2.numpy(),
    )
    return idx, dist2


@njit(parallel=True, cache=True, error_model="numpy")
def _inside(
    query: Array,
    planes: Array,
    cuts: Array,
    bounds: Array,
    limit: float,
    idx: Array,
    dist2: Array,
) -> None:
    for task in prange((len(query) + TASK - 1) // TASK):
        row = np.empty(BLOCK, np.float32)
        for q in range(task * TASK, min(task * TASK + TASK, len(query))):
            cloud = np.searchsorted(cuts, q, side="right") - 1
            first, end = bounds[cloud], bounds[cloud + 1]
            low, count = first, 0
            while low < end and count < idx.shape[1]:
                high = min(low + BLOCK, end)
                x, y, z = planes[0, low:high], planes[1, low:high], planes[2, low:high]
                distance_row(query[q], x, y, z, row)
                count = _take(row[: high - low], limit, low - first, count, idx[q], dist2[q])
                low = high


@njit(cache=True, error_model="numpy")
def _take(row: Array, limit: float, first: int, count: int, idx: Array, dist2: Array) -> int:
    """Append the points of a block that are inside, and return how many are listed now."""
    for i in range(len(row)):
        if row[i] < limit and count < len(idx):
            idx[count] = first + i
            dist2[count] = row[i]
            count += 1
    return count

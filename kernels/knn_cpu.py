"""CPU loop of the k nearest neighbours: a query a task, distances in a row, then selection."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

BLOCK = 512


def knn_fwd(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, k) int64 inside the cloud and dist2 (Q, k), nearest first."""
    idx = torch.empty(len(query), k, dtype=torch.int64)
    dist2 = torch.empty(len(query), k, dtype=query.dtype)
    clouds = torch.repeat_interleave(query_offsets.diff())
    limit_threads()
    _search(
        query.contiguous().numpy(),
        support.t().contiguous().numpy(),
        clouds.numpy(),
        support_offsets.contiguous().numpy(),
        idx.numpy(),
        dist2.numpy(),
    )
    return idx, dist2


@njit(parallel=True, cache=True, error_model="numpy")
def _search(
    query: Array, planes: Array, clouds: Array, bounds: Array, idx: Array, dist2: Array
) -> None:
    for q in prange(len(query)):
        low, high = bounds[clouds[q]], bounds[clouds[q] + 1]
        row = np.empty(BLOCK, query.dtype)
        best, rows = dist2[q], idx[q]
        best[:] = np.inf
        for start in range(low, high, BLOCK):
            count = min(BLOCK, high - start)
            _distances(query[q], planes, start, count, row)
            _keep_nearest(row, count, start - low, best, rows)


@njit(cache=True, error_model="numpy")
def _distances(point: Array, planes: Array, start: int, count: int, row: Array) -> None:
    x, y, z = planes[0], planes[1], planes[2]
    px, py, pz = point[0], point[1], point[2]
    for i in range(count):
        dx = px - x[start + i]
        dy = py - y[start + i]
        dz = pz - z[start + i]
        row[i] = (dx * dx + dy * dy) + dz * dz


@njit(cache=True, error_model="numpy")
def _keep_nearest(row: Array, count: int, first: int, best: Array, rows: Array) -> None:
    """Insert what is nearer than the last kept; equal distances keep the lower index in front."""
    last = len(best) - 1
    for i in range(count):
        distance = row[i]
        if distance < best[last]:
            place = last
            while place > 0 and distance < best[place - 1]:
                best[place] = best[place - 1]
                rows[place] = rows[place - 1]
                place -= 1
            best[place] = distance
            rows[place] = first + i

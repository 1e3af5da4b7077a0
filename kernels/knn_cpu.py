"""CPU loop of the nearest neighbour search: one row of distances at a time, the k best kept.

The row is a vector loop; a point enters the sorted list of the best only if it beats the worst of
them, which few do.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.knn_tree import nearest_by_tree

TASK = 64
TREE_POINTS = 16384
TREE_QUERIES = 512


def knn_fwd(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0."""
    idx = torch.full((len(query), k), -1, dtype=torch.int64)
    dist2 = torch.zeros(len(query), k)
    queries, points = query.detach().contiguous().numpy(), support.detach().contiguous().numpy()
    cuts, bounds = query_offsets.contiguous().numpy(), support_offsets.contiguous().numpy()
    by_tree = (np.diff(bounds) > TREE_POINTS) & (np.diff(cuts) > TREE_QUERIES)
    limit_threads()
    _nearest(queries, _planes(points), cuts, bounds, by_tree, idx.numpy(), dist2.numpy())
    for b in np.flatnonzero(by_tree):
        rows, cloud = slice(cuts[b], cuts[b + 1]), points[bounds[b] : bounds[b + 1]]
        _search_tree(queries[rows], cloud, idx.numpy()[rows], dist2.numpy()[rows])
    return idx, dist2


def _planes(points: Array) -> Array:
    return np.ascontiguousarray(points.T)


def _search_tree(queries: Array, points: Array, idx: Array, dist2: Array) -> None:
    """Fill the results of one cloud by its tree, and by all pairs where the tree cannot tell."""
    sure, idx[:], dist2[:] = nearest_by_tree(queries, points, idx.shape[1])
    if sure.all():
        return
    open_idx, open_dist2 = idx[~sure], dist2[~sure]
    cuts, bounds = np.array([0, len(open_idx)]), np.array([0, len(points)])
    limit_threads()
    nowhere = np.zeros(1, bool)
    _nearest(queries[~sure], _planes(points), cuts, bounds, nowhere, open_idx, open_dist2)
    idx[~sure], dist2[~sure] = open_idx, open_dist2


@njit(parallel=True, cache=True, error_model="numpy")
def _nearest(
    query: Array,
    planes: Array,
    cuts: Array,
    bounds: Array,
    skip: Array,
    idx: Array,
    dist2: Array,
) -> None:
    longest = np.max(np.diff(bounds)) if len(bounds) > 1 else 0
    for task in prange((len(query) + TASK - 1) // TASK):
        row = np.empty(longest, np.float32)
        for q in range(task * TASK, min(task * TASK + TASK, len(query))):
            cloud = np.searchsorted(cuts, q, side="right") - 1
            low, high = bounds[cloud], bounds[cloud + 1]
            if skip[cloud]:
                continue
            x, y, z = planes[0, low:high], planes[1, low:high], planes[2, low:high]
            distance_row(query[q], x, y, z, row)
            _keep_best(row[: high - low], idx[q], dist2[q])


@njit(cache=True, error_model="numpy")
def distance_row(centre: Array, x: Array, y: Array, z: Array, row: Array) -> None:
    """Fill `row` with the squared distances of `centre` to the points, rounded as everywhere."""
    qx, qy, qz = centre[0], centre[1], centre[2]
    for i in range(len(x)):
        dx = qx - x[i]
        dy = qy - y[i]
        dz = qz - z[i]
        row[i] = (dx * dx + dy * dy) + dz * dz


@njit(cache=True, error_model="numpy")
def _keep_best(row: Array, idx: Array, dist2: Array) -> None:
    """Insert the row into the sorted list; equal distances stay in index order."""
    k = len(idx)
    count = 0
    worst = np.float32(np.inf)
    for i in range(len(row)):
        value = row[i]
        if count == k and value >= worst:
            continue
        j = min(count, k - 1)
        while j > 0 and dist2[j - 1] > value:
            dist2[j] = dist2[j - 1]
            idx[j] = idx[j - 1]
            j -= 1
        dist2[j] = value
        idx[j] = i
        count = min(count + 1, k)
        worst = dist2[k - 1]

"""Nearest neighbours in large clouds by scipy's k-d tree, made exact in float32.

The tree ranks by float64 distances. A few more candidates than k are taken, ranked again by the
float32 distance and the index, and the answer is sure where no point left out can come before the
k-th: the float32 distance of a point differs from the true one by less than `SLACK`, relatively.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from pcmamba.kernels._common import Array

EXTRA = 8
# Three subtractions, three squares and two sums, each rounded: 5 x 2^-24, here three times that.
SLACK = 1e-6
# Below this a square may lose digits to underflow, and the relative bound fails.
SMALLEST = 1e-30


def nearest_by_tree(query: Array, points: Array, k: int) -> tuple[Array, Array, Array]:
    """Rank the candidates of the tree.

    Args:
        query: (Q, 3) float32.
        points: (N, 3) float32, N > k.
        k: Neighbours of each query.

    Returns:
        sure: (Q,) bool; where false the other results may differ from the exact ones.
        idx: (Q, K) int64.
        dist2: (Q, K) float32.
    """
    count = min(k + EXTRA, len(points))
    far, candidates = cKDTree(points).query(query, count, workers=torch.get_num_threads())
    delta = query[:, None] - points[candidates]
    with np.errstate(over="ignore"):
        dist2 = (delta[..., 0] ** 2 + delta[..., 1] ** 2) + delta[..., 2] ** 2
    order = np.lexsort((candidates, dist2), axis=-1)[:, :k]
    idx = np.take_along_axis(candidates, order, axis=1)
    dist2 = np.take_along_axis(dist2, order, axis=1)
    beyond = far[:, -1] ** 2
    sure = (dist2[:, -1] < beyond * (1 - SLACK)) & (beyond > SMALLEST)
    return sure | (count == len(points)), idx, dist2

"""CPU loops of `group_std`: moments of each query, merged in float64 in a fixed order.

Every query takes two passes over its differences while they are in the cache, shifted by the
first of them, so that equal differences give exactly zero whatever their size.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.inverse_table_cpu import inverse_table


def group_std_fwd(feat: Tensor, idx: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the standard deviation and the mean of feat[idx] - anchor, each (B,) float32."""
    clouds = idx.shape[0]
    moments = torch.empty(*idx.shape[:2], 2, dtype=torch.float64)
    sigma, mean = torch.empty(clouds), torch.empty(clouds)
    limit_threads()
    _query_moments(_wide(feat), idx.contiguous().numpy(), _wide(anchor), moments.numpy())
    _merge(moments.numpy(), idx.shape[2] * feat.shape[2], sigma.numpy(), mean.numpy())
    return sigma, mean


def group_std_bwd(
    feat: Tensor, idx: Tensor, anchor: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `feat` and `anchor`.

    Args:
        feat: (B, N, C).
        idx: (B, M, K) int64.
        anchor: (B, M, C).
        mean: (B,) float32 mean of the differences.
        scale: (B,) float32 factor of (difference - mean).
    """
    clouds, queries, k = idx.shape
    start, slot = inverse_table(idx.reshape(clouds, queries * k), feat.shape[1])
    rows, own = _wide(feat), _wide(anchor)
    dfeat, danchor = torch.empty(feat.shape), torch.empty(anchor.shape)
    middle, factor = mean.numpy(), scale.numpy()
    _sum_slots(rows, own, start.numpy(), slot.numpy(), k, middle, factor, dfeat.numpy())
    _sum_neighbours(rows, idx.contiguous().numpy(), own, middle, factor, danchor.numpy())
    return dfeat.to(feat.dtype), danchor.to(anchor.dtype)


def _wide(tensor: Tensor) -> Array:
    return tensor.detach().float().contiguous().numpy()


# Only these two may reassociate: among the differences it would bring back cancellation.
@njit(fastmath={"reassoc"}, cache=True)
def _sum(values: Array) -> float:
    total = values.dtype.type(0)
    for c in range(values.shape[0]):
        total += values[c]
    return total


@njit(fastmath={"reassoc"}, cache=True)
def _sum_squares(values: Array, centre: float) -> float:
    total = values.dtype.type(0)
    for c in range(values.shape[0]):
        total += (values[c] - centre) * (values[c] - centre)
    return total


@njit(parallel=True, cache=True, error_model="numpy")
def _query_moments(feat: Array, idx: Array, anchor: Array, moments: Array) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        own = anchor[b, m]
        shift = feat[b, idx[b, m, 0], 0] - own[0]
        values = np.empty((k, channels), feat.dtype)
        total = 0.0
        for j in range(k):
            source, target = feat[b, idx[b, m, j]], values[j]
            for c in range(channels):
                target[c] = (source[c] - own[c]) - shift
            total += _sum(target)
        centre = feat.dtype.type(total / (k * channels))
        spread = 0.0
        for j in range(k):
            spread += _sum_squares(values[j], centre)
        moments[b, m, 0] = np.float64(shift) + np.float64(centre)
        moments[b, m, 1] = spread


@njit(cache=True, error_model="numpy")
def _merge(moments: Array, count: int, sigma: Array, mean: Array) -> None:
    clouds, queries, _ = moments.shape
    for b in range(clouds):
        first = moments[b, 0, 0]
        offset = 0.0
        for m in range(queries):
            offset += moments[b, m, 0] - first
        offset /= queries
        spread = 0.0
        for m in range(queries):
            spread += moments[b, m, 1] + count * (moments[b, m, 0] - first - offset) ** 2
        sigma[b] = (spread / (count * queries - 1)) ** 0.5
        mean[b] = first + offset


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_slots(
    feat: Array,
    anchor: Array,
    start: Array,
    slot: Array,
    k: int,
    mean: Array,
    scale: Array,
    out: Array,
) -> None:
    clouds, num_points, channels = feat.shape
    for row in prange(clouds * num_points):
        b, n = row // num_points, row % num_points
        source, total, middle = feat[b, n], out[b, n], mean[b]
        total[:] = 0
        for i in range(start[b, n], start[b, n + 1]):
            own = anchor[b, slot[b, i] // k]
            for c in range(channels):
                total[c] += (source[c] - own[c]) - middle
        for c in range(channels):
            total[c] *= scale[b]


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_neighbours(
    feat: Array, idx: Array, anchor: Array, mean: Array, scale: Array, out: Array
) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        own, total, middle = anchor[b, m], out[b, m], mean[b]
        total[:] = 0
        for j in range(k):
            source = feat[b, idx[b, m, j]]
            for c in range(channels):
                total[c] -= (source[c] - own[c]) - middle
        for c in range(channels):
            total[c] *= scale[b]

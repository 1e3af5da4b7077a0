"""CPU loops of `group_softmax`: two passes over the gathered rows, and the gradient.

With v_k = w_k (x_k + c), d out / d v_k = a_k (1 + v_k - out). A support point adds the slots that
name it in rising order: one thread owns a row, so the sum is the same for any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.inverse_table_cpu import inverse_table


def group_softmax_fwd(
    feat: Tensor, idx: Tensor, centre: Tensor | None, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the weighted sums (B, M, C) and the logs of the sums of exponentials, float32."""
    mean = torch.zeros(*idx.shape[:2], feat.shape[2])
    log_sum = torch.zeros(mean.shape)
    limit_threads()
    _pool(_plain(feat), idx.contiguous().numpy(), *_both(feat, idx, centre, weight), mean.numpy(),
          log_sum.numpy())  # fmt: skip
    return mean, log_sum


def group_softmax_bwd(
    grad: Tensor,
    feat: Tensor,
    idx: Tensor,
    centre: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `feat`, `centre` and `weight`, the last two empty for None."""
    clouds, queries, k = idx.shape
    start, slot = inverse_table(idx.reshape(clouds, queries * k), feat.shape[1])
    slope, rows = _plain(grad), _plain(feat)
    both = _both(feat, idx, centre, weight)
    saved = (*both, mean.numpy(), log_sum.numpy())
    dfeat = torch.zeros(feat.shape)
    _scatter(slope, rows, *saved, start.numpy(), slot.numpy(), dfeat.numpy())
    dcentre = torch.zeros((0,) if centre is None else centre.shape)
    dweight = torch.zeros((0,) if weight is None else weight.shape)
    if centre is not None or weight is not None:
        scratch = (torch.zeros(mean.shape), torch.zeros(idx.shape))
        _of_queries(slope, rows, idx.contiguous().numpy(), *saved, *(t.numpy() for t in scratch))
        dcentre = dcentre if centre is None else scratch[0]
        dweight = dweight if weight is None else scratch[1]
    return dfeat.to(feat.dtype), dcentre.to(feat.dtype), dweight


def _plain(tensor: Tensor) -> Array:
    return tensor.detach().float().contiguous().numpy()


def _both(
    feat: Tensor, idx: Tensor, centre: Tensor | None, weight: Tensor | None
) -> tuple[Array, Array]:
    """Return centre and weight; one row of 0 or 1 for all queries stands for None."""
    zero = torch.zeros(1, 1, feat.shape[2]) if centre is None else centre
    one = torch.ones(1, 1, idx.shape[2]) if weight is None else weight
    return _plain(zero), _plain(one)


@njit(cache=True, inline="always")
def _row_of(values: Array, b: int, m: int) -> Array:
    return values[b, m] if values.shape[1] > 1 or values.shape[0] > 1 else values[0, 0]


@njit(parallel=True, cache=True, error_model="numpy")
def _pool(
    feat: Array, idx: Array, centres: Array, weights: Array, mean: Array, log_sum: Array
) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        centre, weight = _row_of(centres, b, m), _row_of(weights, b, m)
        top = np.full(channels, -np.inf, np.float32)
        total = np.zeros(channels, np.float32)
        out = mean[b, m]
        for j in range(k):
            if idx[b, m, j] >= 0:
                source, w = feat[b, idx[b, m, j]], weight[j]
                for c in range(channels):
                    top[c] = max(top[c], w * (source[c] + centre[c]))
        for j in range(k):
            if idx[b, m, j] >= 0:
                source, w = feat[b, idx[b, m, j]], weight[j]
                for c in range(channels):
                    value = w * (source[c] + centre[c])
                    share = math.exp(value - top[c])
                    total[c] += share
                    out[c] += share * value
        for c in range(channels):
            if total[c] > 0:
                out[c] /= total[c]
                log_sum[b, m, c] = top[c] + math.log(total[c])


@njit(parallel=True, cache=True, error_model="numpy")
def _scatter(
    grad: Array, feat: Array, centres: Array, weights: Array, mean: Array, log_sum: Array,
    start: Array, slot: Array, out: Array,
) -> None:  # fmt: skip
    clouds, num_points, channels = out.shape
    k = weights.shape[2]
    for row in prange(clouds * num_points):
        b, n = row // num_points, row % num_points
        x, total = feat[b, n], out[b, n]
        for i in range(start[b, n], start[b, n + 1]):
            m = slot[b, i] // k
            slope, pooled, logs = grad[b, m], mean[b, m], log_sum[b, m]
            centre, w = _row_of(centres, b, m), _row_of(weights, b, m)[slot[b, i] % k]
            for c in range(channels):
                value = w * (x[c] + centre[c])
                share = math.exp(value - logs[c])
                total[c] += slope[c] * w * share * (1 + value - pooled[c])


@njit(parallel=True, cache=True, error_model="numpy")
def _of_queries(
    grad: Array, feat: Array, idx: Array, centres: Array, weights: Array, mean: Array,
    log_sum: Array, dcentre: Array, dweight: Array,
) -> None:  # fmt: skip
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        slope, pooled, logs = grad[b, m], mean[b, m], log_sum[b, m]
        centre, weight = _row_of(centres, b, m), _row_of(weights, b, m)
        own = dcentre[b, m]
        for j in range(k):
            if idx[b, m, j] >= 0:
                source, w = feat[b, idx[b, m, j]], weight[j]
                total = np.float32(0)
                for c in range(channels):
                    value = w * (source[c] + centre[c])
                    share = math.exp(value - logs[c])
                    slant = slope[c] * share * (1 + value - pooled[c])
                    own[c] += w * slant
                    total += slant * (source[c] + centre[c])
                dweight[b, m, j] = total

"""CPU loops of `group_softmax`: two passes over the gathered rows, and the gradient.

d out / d x_k = w_k (1 + x_k - out). A support point adds the slots that name it in rising order:
one thread owns a row, so the sum is the same for any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels.inverse_table_cpu import inverse_table


def group_softmax_fwd(feat: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sums (B, M, C) and the logs of the sums of exponentials, float32."""
    rows = feat.detach().float().contiguous()
    mean = torch.zeros(*idx.shape[:2], feat.shape[2])
    log_sum = torch.zeros(mean.shape)
    limit_threads()
    _pool(rows.numpy(), idx.contiguous().numpy(), mean.numpy(), log_sum.numpy())
    return mean, log_sum


def group_softmax_bwd(
    grad: Tensor, feat: Tensor, idx: Tensor, mean: Tensor, log_sum: Tensor
) -> Tensor:
    """Return the gradient of `feat` (B, N, C)."""
    clouds, queries, k = idx.shape
    start, slot = inverse_table(idx.reshape(clouds, queries * k), feat.shape[1])
    dfeat = torch.zeros(feat.shape)
    slope, rows = (tensor.detach().float().contiguous().numpy() for tensor in (grad, feat))
    saved = (mean.numpy(), log_sum.numpy(), start.numpy(), slot.numpy())
    _scatter(slope, rows, *saved, k, dfeat.numpy())
    return dfeat.to(feat.dtype)


@njit(parallel=True, cache=True, error_model="numpy")
def _pool(feat: Array, idx: Array, mean: Array, log_sum: Array) -> None:
    clouds, queries, k = idx.shape
    channels = feat.shape[2]
    for row in prange(clouds * queries):
        b, m = row // queries, row % queries
        top = np.full(channels, -np.inf, np.float32)
        total = np.zeros(channels, np.float32)
        out = mean[b, m]
        for j in range(k):
            if idx[b, m, j] >= 0:
                source = feat[b, idx[b, m, j]]
                for c in range(channels):
                    top[c] = max(top[c], source[c])
        for j in range(k):
            if idx[b, m, j] >= 0:
                source = feat[b, idx[b, m, j]]
                for c in range(channels):
                    weight = math.exp(source[c] - top[c])
                    total[c] += weight
                    out[c] += weight * source[c]
        for c in range(channels):
            if total[c] > 0:
                out[c] /= total[c]
                log_sum[b, m, c] = top[c] + math.log(total[c])


@njit(parallel=True, cache=True, error_model="numpy")
def _scatter(
    grad: Array, feat: Array, mean: Array, log_sum: Array, start: Array, slot: Array,
    k: int, out: Array,
) -> None:  # fmt: skip
    clouds, num_points, channels = out.shape
    for row in prange(clouds * num_points):
        b, n = row // num_points, row % num_points
        x, total = feat[b, n], out[b, n]
        for i in range(start[b, n], start[b, n + 1]):
            m = slot[b, i] // k
            slope, pooled, logs = grad[b, m], mean[b, m], log_sum[b, m]
            for c in range(channels):
                weight = math.exp(x[c] - logs[c])
                total[c] += slope[c] * weight * (1 + x[c] - pooled[c])

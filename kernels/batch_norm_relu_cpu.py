"""CPU loops of batch normalisation and ReLU: one pass for the sums, one for the result, each way.

The cut is found again from the same rounded numbers in the backward pass.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, at_least, fma, load, store, where_greater
from pcmamba.kernels._norm_cpu import (
    Channels,
    Rows,
    channels_of,
    constants_at,
    gradient_constants,
    merge_sums,
    nothing,
    rows_of,
    rows_per_block,
    statistics,
)
from pcmamba.kernels._rows_cpu import add_to, clear


def batch_norm_relu_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (R, C), and the mean and biased variance of x (C,), empty where both are given."""
    limit_threads()
    rows = rows_of(x)
    if mean is None or var is None:
        found = mean, var = statistics(x, rows)
    else:
        found = torch.empty(0), torch.empty(0)
    y = torch.empty(rows.total, rows.channels)
    channels = channels_of(rows, weight, bias, mean, var, eps)
    _normalise(rows, channels, relu, rows_per_block(rows.channels), y.view(-1).numpy())
    return y[:, : x.shape[1]].contiguous().to(x.dtype), *found


def batch_norm_relu_bwd(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x (R, C), weight and bias (C,)."""
    limit_threads()
    rows, grads, width = rows_of(x), rows_of(grad), x.shape[1]
    size = rows_per_block(rows.channels)
    channels = channels_of(rows, weight, bias, mean, var, eps)
    parts = np.empty((-(-rows.total // size), 2, rows.channels), np.float32)
    _sum_gradients(rows, grads, channels, relu, size, parts.reshape(-1))
    sums = torch.empty(2, rows.channels)
    merge_sums(parts, sums.numpy())
    constants = gradient_constants(channels, sums.numpy(), rows.total, own)
    dx = torch.empty(rows.total, rows.channels)
    _spread_gradients(rows, grads, channels, relu, size, constants, dx.view(-1).numpy())
    return dx[:, :width].contiguous().to(x.dtype), sums[1, :width].clone(), sums[0, :width].clone()


@njit(parallel=True, cache=True, error_model="numpy")
def _normalise(x: Rows, channels: Channels, relu: bool, size: int, y: Array) -> None:
    for block in prange((x.total + size - 1) // size):
        for row in range(block * size, min((block + 1) * size, x.total)):
            for c in range(0, x.channels, LANES):
                mean, rstd, weight, bias = constants_at(channels, c)
                value = fma((load(x.values, row * x.stride + c) - mean) * rstd, weight, bias)
                if relu:
                    value = at_least(value, nothing())
                store(y, row * x.channels + c, value)


@njit(error_model="numpy")
def _point(x: Rows, grad: Rows, channels: Channels, relu: bool, row: int, c: int):  # type: ignore[no-untyped-def]  # vectors of numba
    """Return sixteen normalised values and the gradients that the cut lets through."""
    mean, rstd, weight, bias = constants_at(channels, c)
    value = (load(x.values, row * x.stride + c) - mean) * rstd
    passed = load(grad.values, row * grad.stride + c)
    if relu:
        passed = where_greater(fma(value, weight, bias), nothing(), passed, nothing())
    return value, passed


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_gradients(
    x: Rows, grad: Rows, channels: Channels, relu: bool, size: int, parts: Array
) -> None:
    width = x.channels
    for block in prange((x.total + size - 1) // size):
        sums = parts[2 * block * width : 2 * (block + 1) * width]
        clear(sums)
        for row in range(block * size, min((block + 1) * size, x.total)):
            for c in range(0, width, LANES):
                value, passed = _point(x, grad, channels, relu, row, c)
                add_to(sums, c, passed)
                store(sums, width + c, fma(value, passed, load(sums, width + c)))


@njit(parallel=True, cache=True, error_model="numpy")
def _spread_gradients(
    x: Rows, grad: Rows, channels: Channels, relu: bool, size: int, constants: Array, dx: Array
) -> None:
    width = x.channels
    for block in prange((x.total + size - 1) // size):
        for row in range(block * size, min((block + 1) * size, x.total)):
            for c in range(0, width, LANES):
                value, passed = _point(x, grad, channels, relu, row, c)
                out = fma(load(constants, c), passed, load(constants, width + c))
                out = fma(value, load(constants, 2 * width + c), out)
                store(dx, row * width + c, out)

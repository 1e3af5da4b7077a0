"""CPU loops of `add_rms_norm`.

A task owns up to 64 rows and one partial sum of the weight's gradient, so that the sums do not
depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._rows_cpu import add_parts

ROWS = 64


def add_rms_norm_fwd(
    x: Tensor, weight: Tensor, residual: Tensor | None, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (R, C) in `dtype`, the stream (R, C) and the factor of each row, float32."""
    wide = x.detach().float()
    y, stream = torch.empty_like(wide), torch.empty_like(wide)
    scale = wide.new_empty(len(wide))
    other = wide if residual is None else residual.detach().float()
    limit_threads()
    arrays = (t.numpy() for t in (wide, other, weight.detach().float(), y, stream, scale))
    _forward(*arrays, np.float32(eps), residual is not None)
    return y.to(dtype), stream, scale


def add_rms_norm_bwd(
    grad_y: Tensor,
    grad_stream: Tensor | None,
    weight: Tensor,
    stream: Tensor,
    scale: Tensor,
    x_dtype: torch.dtype,
    residual_dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx (R, C) in `x_dtype`, dweight (C,) float32 and dresidual in its dtype or empty."""
    rows, channels = stream.shape
    dx, grad = torch.empty_like(stream), grad_y.detach().float()
    more = grad if grad_stream is None else grad_stream.detach().float()
    parts = stream.new_zeros((rows + ROWS - 1) // ROWS, channels)
    limit_threads()
    inputs = (t.numpy() for t in (grad, more, weight.detach().float(), stream, scale))
    _backward(*inputs, dx.numpy(), parts.numpy(), grad_stream is not None)
    dresidual = stream.new_empty(0) if residual_dtype is None else dx.to(residual_dtype, copy=True)
    return dx.to(x_dtype), add_parts(parts).clone(), dresidual


# Only sums reassociate, so that they fill vector registers; the order stays fixed.
@njit(fastmath={"reassoc", "contract"}, cache=True, error_model="numpy")
def _mean_square(values: Array) -> float:
    total = np.float32(0)
    for c in range(len(values)):
        total += values[c] * values[c]
    return total / np.float32(len(values))


@njit(fastmath={"reassoc", "contract"}, cache=True, error_model="numpy")
def _mean_product(grad: Array, weight: Array, values: Array) -> float:
    total = np.float32(0)
    for c in range(len(values)):
        total += grad[c] * weight[c] * values[c]
    return total / np.float32(len(values))


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(
    x: Array,
    residual: Array,
    weight: Array,
    y: Array,
    stream: Array,
    scale: Array,
    eps: float,
    has_residual: bool,
) -> None:
    rows, channels = x.shape
    for task in prange((rows + ROWS - 1) // ROWS):
        for row in range(task * ROWS, min(rows, (task + 1) * ROWS)):
            total, out = stream[row], y[row]
            for c in range(channels):
                total[c] = residual[row, c] + x[row, c] if has_residual else x[row, c]
            factor = np.float32(1) / np.sqrt(_mean_square(total) + eps)
            for c in range(channels):
                out[c] = total[c] * factor * weight[c]
            scale[row] = factor


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(
    grad_y: Array,
    grad_stream: Array,
    weight: Array,
    stream: Array,
    scale: Array,
    dx: Array,
    parts: Array,
    has_stream: bool,
) -> None:
    rows, channels = stream.shape
    for task in prange(len(parts)):
        part = parts[task]
        for row in range(task * ROWS, min(rows, (task + 1) * ROWS)):
            values, grad, factor = stream[row], grad_y[row], scale[row]
            pull = _mean_product(grad, weight, values) * factor * factor
            for c in range(channels):
                part[c] += grad[c] * (values[c] * factor)
                own = factor * (weight[c] * grad[c] - values[c] * pull)
                dx[row, c] = grad_stream[row, c] + own if has_stream else own

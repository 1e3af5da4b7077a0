"""Triton kernels of batch normalisation with ReLU: two passes forward, two backward.

The backward pass computes the normalised values again; nothing but the input is read twice.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._norm_triton import (
    BLOCK_R,
    channel_block,
    channel_norm,
    merge_sums,
    moments,
    rows_in_chunk,
)

BLOCK_M = 64  # rows a program of the elementwise passes owns


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
    x = x.contiguous()
    found = moments(x) if mean is None or var is None else None
    mean, var = found or (mean, var)
    rows, channels = x.shape
    y, block = torch.empty_like(x), channel_block(channels)
    if x.numel():
        _apply_kernel[(triton.cdiv(rows, BLOCK_M), triton.cdiv(channels, block))](
            x, mean, var, weight, bias, y, rows, channels, eps,
            RELU=relu, BLOCK_R=BLOCK_M, BLOCK_C=block,
        )  # fmt: skip
    empty = x.new_empty(0, dtype=torch.float32)
    return y, *(found or (empty, empty.clone()))


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
    grad, x = grad.contiguous(), x.contiguous()
    rows, channels = x.shape
    chunk, block = rows_in_chunk(rows), channel_block(channels)
    chunks, across = triton.cdiv(rows, chunk), triton.cdiv(channels, block)
    partial = torch.empty(chunks, 2, channels, dtype=torch.float32, device=x.device)
    if x.numel():
        _sums_kernel[(chunks, across)](
            grad, x, mean, var, weight, bias, partial, rows, channels, chunk, eps,
            RELU=relu, BLOCK_R=BLOCK_R, BLOCK_C=block,
        )  # fmt: skip
    (plain, weighted), dx = merge_sums(partial), torch.empty_like(x)
    if x.numel():
        _input_kernel[(triton.cdiv(rows, BLOCK_M), across)](
            grad, x, mean, var, weight, bias, plain, weighted, dx, rows, channels, eps,
            OWN=own, RELU=relu, BLOCK_R=BLOCK_M, BLOCK_C=block,
        )  # fmt: skip
    return dx, weighted, plain


@triton.jit
def _apply_kernel(
    x_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, y_ptr, R, C, eps,
    RELU: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mask = (rows < R)[:, None] & mask_c[None, :]
    mean, rstd, weight = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    bias = tl.load(bias_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    place = rows[:, None] * C + offs_c[None, :]
    x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
    y = (x - mean[None, :]) * (rstd * weight)[None, :] + bias[None, :]
    if RELU:
        y = tl.where(y < 0.0, 0.0, y)
    tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _normalised(
    grad_ptr, x_ptr, mean, rstd, weight, bias, place, mask, RELU: tl.constexpr
):  # fmt: skip
    """Gradient that passed the cut, and the normalised input."""
    grad = tl.load(grad_ptr + place, mask=mask, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
    past = x - mean[None, :]
    if RELU:
        y = past * (rstd * weight)[None, :] + bias[None, :]
        grad = tl.where(y > 0.0, grad, 0.0)
    return grad, past * rstd[None, :]


@triton.jit
def _sums_kernel(
    grad_ptr, x_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, partial_ptr, R, C, chunk, eps,
    RELU: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mean, rstd, weight = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    bias = tl.load(bias_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    plain = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    weighted = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for step in range(0, chunk, BLOCK_R):
        rows = pid * chunk + step + tl.arange(0, BLOCK_R)
        mask = (rows < R)[:, None] & mask_c[None, :]
        place = rows[:, None] * C + offs_c[None, :]
        grad, x = _normalised(grad_ptr, x_ptr, mean, rstd, weight, bias, place, mask, RELU)
        plain += grad
        weighted += grad * x
    target = partial_ptr + pid * 2 * C + offs_c
    tl.store(target, tl.sum(plain, axis=0), mask=mask_c)
    tl.store(target + C, tl.sum(weighted, axis=0), mask=mask_c)


@triton.jit
def _input_kernel(
    grad_ptr, x_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, plain_ptr, weighted_ptr, dx_ptr,
    R, C, eps,
    OWN: tl.constexpr, RELU: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mask = (rows < R)[:, None] & mask_c[None, :]
    mean, rstd, weight = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    bias = tl.load(bias_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    place = rows[:, None] * C + offs_c[None, :]
    grad, x = _normalised(grad_ptr, x_ptr, mean, rstd, weight, bias, place, mask, RELU)
    if OWN:
        plain = tl.load(plain_ptr + offs_c, mask=mask_c, other=0.0) / R
        weighted = tl.load(weighted_ptr + offs_c, mask=mask_c, other=0.0) / R
        grad = grad - plain[None, :] - x * weighted[None, :]
    dx = grad * (rstd * weight)[None, :]
    tl.store(dx_ptr + place, dx.to(dx_ptr.dtype.element_ty), mask=mask)

"""Triton kernels of the end of a local group: norm, shortcut, maximum over neighbours, ReLU.

Forward: one pass for the statistics, one over input and shortcut. Only one neighbour in K gets a
gradient, so the sums of the backward pass read one row in K.
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

BLOCK_M = 16  # queries a program owns


def batch_norm_max_fwd(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return out (B, M, C), the winning neighbours (uint8), and mean and biased variance (C,).

    The statistics are empty where both are given.
    """
    x, shortcut = x.contiguous(), shortcut.contiguous()
    clouds, queries, k, channels = x.shape
    found = moments(x.view(-1, channels)) if mean is None or var is None else None
    mean, var = found or (mean, var)
    out = x.new_empty(clouds, queries, channels)
    winner = torch.empty_like(out, dtype=torch.uint8)
    block = channel_block(channels)
    if out.numel():
        _max_kernel[(triton.cdiv(clouds * queries, BLOCK_M), triton.cdiv(channels, block))](
            x, shortcut, mean, var, weight, bias, out, winner, clouds * queries, k, channels, eps,
            BLOCK_M=BLOCK_M, BLOCK_C=block,
        )  # fmt: skip
    empty = x.new_empty(0, dtype=torch.float32)
    return out, winner, *(found or (empty, empty.clone()))


def batch_norm_max_bwd(
    grad: Tensor,
    x: Tensor,
    out: Tensor,
    winner: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, shortcut (B, M, K, C), weight and bias (C,)."""
    grad, x = grad.contiguous(), x.contiguous()
    clouds, queries, k, channels = x.shape
    rows = clouds * queries
    chunk, block = rows_in_chunk(rows), channel_block(channels)
    chunks, across = triton.cdiv(rows, chunk), triton.cdiv(channels, block)
    partial = torch.empty(chunks, 2, channels, dtype=torch.float32, device=x.device)
    if x.numel():
        _sums_kernel[(chunks, across)](
            grad, x, out, winner, mean, var, weight, partial, rows, k, channels, chunk, eps,
            BLOCK_R=BLOCK_R, BLOCK_C=block,
        )  # fmt: skip
    plain, weighted = merge_sums(partial)
    dx, dshortcut = torch.empty_like(x), torch.empty_like(x)
    if x.numel():
        _input_kernel[(triton.cdiv(rows, BLOCK_M), across)](
            grad, x, out, winner, mean, var, weight, plain, weighted, dx, dshortcut,
            rows, k, channels, eps, OWN=own, BLOCK_M=BLOCK_M, BLOCK_C=block,
        )  # fmt: skip
    return dx, dshortcut, weighted, plain


@triton.jit
def _max_kernel(
    x_ptr, shortcut_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, out_ptr, winner_ptr, M, K, C, eps,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mask = (offs_m < M)[:, None] & mask_c[None, :]
    mean, rstd, weight = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    bias = tl.load(bias_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    scale = (rstd * weight)[None, :]
    best = tl.full((BLOCK_M, BLOCK_C), float("-inf"), tl.float32)
    winner = tl.zeros((BLOCK_M, BLOCK_C), tl.int32)
    for k in range(0, K):
        place = (offs_m * K + k)[:, None] * C + offs_c[None, :]
        x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
        y = tl.load(shortcut_ptr + place, mask=mask, other=0.0).to(tl.float32)
        y += (x - mean[None, :]) * scale + bias[None, :]
        # The first NaN wins, as in torch.
        better = (y > best) | ((y != y) & (best == best))
        best = tl.where(better, y, best)
        winner = tl.where(better, k, winner)
    place = offs_m[:, None] * C + offs_c[None, :]
    best = tl.where(best < 0.0, 0.0, best)
    tl.store(out_ptr + place, best.to(out_ptr.dtype.element_ty), mask=mask)
    tl.store(winner_ptr + place, winner.to(tl.uint8), mask=mask)


@triton.jit
def _passed(grad_ptr, out_ptr, winner_ptr, place, mask):
    """Gradient that passed the cut, and the neighbour that it goes to."""
    grad = tl.load(grad_ptr + place, mask=mask, other=0.0).to(tl.float32)
    out = tl.load(out_ptr + place, mask=mask, other=0.0).to(tl.float32)
    winner = tl.load(winner_ptr + place, mask=mask, other=0).to(tl.int32)
    return tl.where(out > 0.0, grad, 0.0), winner


@triton.jit
def _sums_kernel(
    grad_ptr, x_ptr, out_ptr, winner_ptr, mean_ptr, var_ptr, weight_ptr, partial_ptr,
    M, K, C, chunk, eps,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mean, rstd, _ = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    plain = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    weighted = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for step in range(0, chunk, BLOCK_R):
        offs_m = pid * chunk + step + tl.arange(0, BLOCK_R)
        mask = (offs_m < M)[:, None] & mask_c[None, :]
        place = offs_m[:, None] * C + offs_c[None, :]
        grad, winner = _passed(grad_ptr, out_ptr, winner_ptr, place, mask)
        source = (offs_m[:, None] * K + winner) * C + offs_c[None, :]
        x = tl.load(x_ptr + source, mask=mask, other=0.0).to(tl.float32)
        plain += grad
        weighted += grad * ((x - mean[None, :]) * rstd[None, :])
    target = partial_ptr + pid * 2 * C + offs_c
    tl.store(target, tl.sum(plain, axis=0), mask=mask_c)
    tl.store(target + C, tl.sum(weighted, axis=0), mask=mask_c)


@triton.jit
def _input_kernel(
    grad_ptr, x_ptr, out_ptr, winner_ptr, mean_ptr, var_ptr, weight_ptr, plain_ptr, weighted_ptr,
    dx_ptr, dshortcut_ptr, M, K, C, eps,
    OWN: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    mask = (offs_m < M)[:, None] & mask_c[None, :]
    mean, rstd, weight = channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps)
    plain = tl.load(plain_ptr + offs_c, mask=mask_c, other=0.0)
    weighted = tl.load(weighted_ptr + offs_c, mask=mask_c, other=0.0)
    count = 1.0 * M * K
    grad, winner = _passed(
        grad_ptr, out_ptr, winner_ptr, offs_m[:, None] * C + offs_c[None, :], mask
    )
    for k in range(0, K):
        place = (offs_m * K + k)[:, None] * C + offs_c[None, :]
        own = tl.where(winner == k, grad, 0.0)
        tl.store(dshortcut_ptr + place, own.to(dshortcut_ptr.dtype.element_ty), mask=mask)
        if OWN:
            x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
            x = (x - mean[None, :]) * rstd[None, :]
            own = own - (plain[None, :] + x * weighted[None, :]) / count
        dx = own * (rstd * weight)[None, :]
        tl.store(dx_ptr + place, dx.to(dx_ptr.dtype.element_ty), mask=mask)

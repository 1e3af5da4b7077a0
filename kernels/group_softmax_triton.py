"""Triton kernels of `group_softmax`: one pass with a running maximum, and the gradient.

d out / d x_k = w_k (1 + x_k - out). Backward a program owns a support point and a block of channels
and adds its slots in a fixed order: no atomics, the same bits in every run.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.group_max_triton import BLOCK_S, channel_block
from pcmamba.kernels.inverse_table import inverse_table

BLOCK_M = 2  # queries a program pools: three sums each
AHEAD = 4  # neighbours in flight


def group_softmax_fwd(feat: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sums (B, M, C) and the logs of the sums of exponentials, float32."""
    _, num_points, channels = feat.shape
    clouds, queries, k = idx.shape
    mean = torch.empty(clouds, queries, channels, device=feat.device)
    log_sum = torch.empty_like(mean)
    if mean.numel() == 0:
        return mean, log_sum
    block = channel_block(channels)
    grid = (triton.cdiv(clouds * queries, BLOCK_M), triton.cdiv(channels, block))
    _weigh_kernel[grid](
        feat.contiguous(), idx.contiguous(), mean, log_sum,
        clouds * queries, num_points, queries, k, channels,
        BLOCK_M=BLOCK_M, BLOCK_C=block, AHEAD=AHEAD, num_warps=1,
    )  # fmt: skip
    return mean, log_sum


def group_softmax_bwd(
    grad: Tensor, feat: Tensor, idx: Tensor, mean: Tensor, log_sum: Tensor
) -> Tensor:
    """Return the gradient of `feat` (B, N, C)."""
    clouds, queries, k = idx.shape
    _, num_points, channels = feat.shape
    dfeat = torch.empty(feat.shape, dtype=feat.dtype, device=feat.device)
    if dfeat.numel() == 0:
        return dfeat
    start, slot = inverse_table(idx.reshape(clouds, queries * k), num_points)
    block = channel_block(channels)
    _unweigh_kernel[(clouds * num_points, triton.cdiv(channels, block))](
        grad.contiguous(), feat.contiguous(), mean, log_sum, start, slot, dfeat,
        num_points, queries, k, channels, BLOCK_S=BLOCK_S, BLOCK_C=block, num_warps=1,
    )  # fmt: skip
    return dfeat


@triton.jit
def _weigh_kernel(
    feat_ptr, idx_ptr, mean_ptr, log_sum_ptr,
    num_queries, N, M, K, C,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_m = offs_m < num_queries
    mask_c = offs_c < C
    cloud = (offs_m // M) * N
    # A finite floor: the difference of two infinities is no number.
    top = tl.full((BLOCK_M, BLOCK_C), -3.0e38, tl.float32)
    total = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    mean = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for begin in range(0, K, AHEAD):
        for ahead in tl.static_range(AHEAD):
            j = begin + ahead
            n = tl.load(idx_ptr + offs_m * K + j, mask=mask_m & (offs_m * 0 + j < K), other=-1)
            live = ((n >= 0) & (n < N))[:, None] & mask_c[None, :]
            source = (cloud + n)[:, None] * C + offs_c[None, :]
            value = tl.load(feat_ptr + source, mask=live, other=0.0).to(tl.float32)
            higher = tl.where(live, tl.maximum(top, value), top)
            kept = tl.exp(top - higher)
            weight = tl.where(live, tl.exp(tl.where(live, value - higher, 0.0)), 0.0)
            total = total * kept + weight
            mean = mean * kept + weight * value
            top = higher
    found = total > 0.0
    safe = tl.where(found, total, 1.0)
    place = offs_m[:, None] * C + offs_c[None, :]
    mask = mask_m[:, None] & mask_c[None, :]
    tl.store(mean_ptr + place, mean / safe, mask=mask)
    tl.store(log_sum_ptr + place, tl.where(found, top + tl.log(safe), 0.0), mask=mask)


@triton.jit
def _unweigh_kernel(
    grad_ptr, feat_ptr, mean_ptr, log_sum_ptr, start_ptr, slot_ptr, out_ptr,
    N, M, K, C,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    cloud = row // N
    first = tl.load(start_ptr + row + cloud)
    last = tl.load(start_ptr + row + cloud + 1)
    x = tl.load(feat_ptr + row * C + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for i in range(first, last, BLOCK_S):
        offs_s = i + tl.arange(0, BLOCK_S)
        live = offs_s < last
        slot = tl.load(slot_ptr + cloud * M * K + offs_s, mask=live, other=0)
        source = (cloud * M + slot // K)[:, None] * C + offs_c[None, :]
        mask = live[:, None] & mask_c[None, :]
        slope = tl.load(grad_ptr + source, mask=mask, other=0.0).to(tl.float32)
        pooled = tl.load(mean_ptr + source, mask=mask, other=0.0)
        logs = tl.load(log_sum_ptr + source, mask=mask, other=0.0)
        weight = tl.exp(tl.where(mask, x[None, :] - logs, 0.0))
        total += tl.sum(slope * weight * (1.0 + x[None, :] - pooled), axis=0)
    tl.store(out_ptr + row * C + offs_c, total, mask=mask_c)

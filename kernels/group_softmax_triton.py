"""Triton kernels of `group_softmax`: one pass with a running maximum, and the gradient.

With v_k = w_k (x_k + c), d out / d v_k = a_k (1 + v_k - out). Backward a program owns a support
point and a block of channels and adds its slots in a fixed order, another one owns a query: no
atomics, the same bits in every run.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.group_max_triton import channel_block
from pcmamba.kernels.inverse_table import inverse_table

BLOCK_M = 2  # queries a program pools: three sums each
BLOCK_S = 4  # slots in flight in a sum
AHEAD = 4  # neighbours in flight


def group_softmax_fwd(
    feat: Tensor, idx: Tensor, centre: Tensor | None, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
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
        feat.contiguous(), idx.contiguous(), _dense(centre), _dense(weight), mean, log_sum,
        clouds * queries, num_points, queries, k, channels,
        BLOCK_M=BLOCK_M, BLOCK_C=block, AHEAD=AHEAD, num_warps=1,
    )  # fmt: skip
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
    _, num_points, channels = feat.shape
    grad, feat, idx = grad.contiguous(), feat.contiguous(), idx.contiguous()
    own, factor = _dense(centre), _dense(weight)
    dfeat = torch.empty_like(feat)
    dcentre = feat.new_empty((0,) if own is None else own.shape)
    dweight = mean.new_empty((0,) if factor is None else factor.shape)
    sizes = (num_points, queries, k, channels)
    block = channel_block(channels)
    if dfeat.numel() > 0:
        start, slot = inverse_table(idx.reshape(clouds, queries * k), num_points)
        _unweigh_kernel[(clouds * num_points, triton.cdiv(channels, block))](
            grad, feat, own, factor, mean, log_sum, start, slot, dfeat,
            *sizes, BLOCK_S=BLOCK_S, BLOCK_C=block, num_warps=1,
        )  # fmt: skip
    if dcentre.numel() + dweight.numel() > 0:
        _query_kernel[(clouds * queries,)](
            grad, feat, idx, own, factor, mean, log_sum, dcentre, dweight,
            *sizes, BLOCK_K=triton.next_power_of_2(k), BLOCK_C=block, num_warps=1,
        )  # fmt: skip
    return dfeat, dcentre, dweight


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


@triton.jit
def _weigh_kernel(
    feat_ptr, idx_ptr, centre_ptr, weight_ptr, mean_ptr, log_sum_ptr,
    num_queries, N, M, K, C,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_m = offs_m < num_queries
    mask_c = offs_c < C
    cloud = (offs_m // M) * N
    place = offs_m[:, None] * C + offs_c[None, :]
    mask = mask_m[:, None] & mask_c[None, :]
    centre = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    if centre_ptr is not None:
        centre = tl.load(centre_ptr + place, mask=mask, other=0.0).to(tl.float32)
    # A finite floor: the difference of two infinities is no number.
    top = tl.full((BLOCK_M, BLOCK_C), -3.0e38, tl.float32)
    total = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    mean = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for begin in range(0, K, AHEAD):
        for ahead in tl.static_range(AHEAD):
            j = begin + ahead
            mask_j = mask_m & (offs_m * 0 + j < K)
            n = tl.load(idx_ptr + offs_m * K + j, mask=mask_j, other=-1)
            live = ((n >= 0) & (n < N))[:, None] & mask_c[None, :]
            source = (cloud + n)[:, None] * C + offs_c[None, :]
            value = tl.load(feat_ptr + source, mask=live, other=0.0).to(tl.float32) + centre
            if weight_ptr is not None:
                value *= tl.load(weight_ptr + offs_m * K + j, mask=mask_j, other=0.0)[:, None]
            higher = tl.where(live, tl.maximum(top, value), top)
            kept = tl.exp(top - higher)
            share = tl.where(live, tl.exp(tl.where(live, value - higher, 0.0)), 0.0)
            total = total * kept + share
            mean = mean * kept + share * value
            top = higher
    found = total > 0.0
    safe = tl.where(found, total, 1.0)
    tl.store(mean_ptr + place, mean / safe, mask=mask)
    tl.store(log_sum_ptr + place, tl.where(found, top + tl.log(safe), 0.0), mask=mask)


@triton.jit
def _unweigh_kernel(
    grad_ptr, feat_ptr, centre_ptr, weight_ptr, mean_ptr, log_sum_ptr, start_ptr, slot_ptr, out_ptr,
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
        value = tl.broadcast_to(x[None, :], (BLOCK_S, BLOCK_C))
        if centre_ptr is not None:
            value += tl.load(centre_ptr + source, mask=mask, other=0.0).to(tl.float32)
        if weight_ptr is not None:
            factor = tl.load(weight_ptr + cloud * M * K + slot, mask=live, other=0.0)[:, None]
            value *= factor
            slope *= factor
        share = tl.exp(tl.where(mask, value - logs, 0.0))
        total += tl.sum(slope * share * (1.0 + value - pooled), axis=0)
    tl.store(out_ptr + row * C + offs_c, total, mask=mask_c)


@triton.jit
def _query_kernel(
    grad_ptr, feat_ptr, idx_ptr, centre_ptr, weight_ptr, mean_ptr, log_sum_ptr,
    dcentre_ptr, dweight_ptr,
    N, M, K, C,
    BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_k = tl.arange(0, BLOCK_K)
    mask_k = offs_k < K
    n = tl.load(idx_ptr + row * K + offs_k, mask=mask_k, other=-1)
    known = (n >= 0) & (n < N)
    factor = tl.full((BLOCK_K,), 1.0, tl.float32)
    if weight_ptr is not None:
        factor = tl.load(weight_ptr + row * K + offs_k, mask=mask_k, other=0.0)
    dweight = tl.zeros((BLOCK_K,), tl.float32)
    for begin in range(0, C, BLOCK_C):
        offs_c = begin + tl.arange(0, BLOCK_C)
        mask_c = offs_c < C
        place = row * C + offs_c
        slope = tl.load(grad_ptr + place, mask=mask_c, other=0.0).to(tl.float32)
        pooled = tl.load(mean_ptr + place, mask=mask_c, other=0.0)
        logs = tl.load(log_sum_ptr + place, mask=mask_c, other=0.0)
        mask = known[:, None] & mask_c[None, :]
        source = (row // M * N + n)[:, None] * C + offs_c[None, :]
        x = tl.load(feat_ptr + source, mask=mask, other=0.0).to(tl.float32)
        if centre_ptr is not None:
            x += tl.load(centre_ptr + place, mask=mask_c, other=0.0).to(tl.float32)[None, :]
        value = factor[:, None] * x
        share = tl.where(mask, tl.exp(tl.where(mask, value - logs[None, :], 0.0)), 0.0)
        slant = slope[None, :] * share * (1.0 + value - pooled[None, :])
        dweight += tl.sum(slant * x, axis=1)
        if centre_ptr is not None:
            tl.store(dcentre_ptr + place, tl.sum(slant * factor[:, None], axis=0), mask=mask_c)
    if weight_ptr is not None:
        tl.store(dweight_ptr + row * K + offs_k, dweight, mask=mask_k)

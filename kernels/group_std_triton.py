"""Triton kernels of `group_std`: moments of blocks of queries, and the gradients.

A block takes two passes over its differences, shifted by the first of them, so that equal
differences give exactly zero; the blocks are merged in float64 in a fixed order. No atomics.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.group_triton import BLOCK_M, BLOCK_S, channel_block
from pcmamba.kernels.inverse_table import inverse_table

BLOCK_Q = 8  # queries whose moments one program takes; 16 spill where C is odd


def group_std_fwd(feat: Tensor, idx: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the standard deviation and the mean of feat[idx] - anchor, each (B,) float32."""
    clouds, queries, k = idx.shape
    num_points, channels = feat.shape[1:]
    blocks = triton.cdiv(queries, BLOCK_Q)
    moments = torch.empty(clouds, blocks, 3, device=feat.device)
    if clouds:
        _moments_kernel[(clouds * blocks,)](
            feat.contiguous(), idx.contiguous(), anchor.contiguous(), moments,
            blocks, num_points, queries, k, channels,
            BLOCK_Q=BLOCK_Q, BLOCK_C=channel_block(channels),
        )  # fmt: skip
    first_query = torch.arange(blocks, device=feat.device) * BLOCK_Q
    return _merge(moments, (queries - first_query).clamp(max=BLOCK_Q) * (k * channels))


def _merge(moments: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Merge (shift, mean past the shift, squares about it) of blocks of `counts` values."""
    shift, centre, spread = moments.double().unbind(-1)
    means, total = shift + centre, counts.sum()
    past = means - means[:, :1]
    offset = (counts * past).sum(1) / total
    squares = (spread + counts * (past - offset[:, None]) ** 2).sum(1)
    return (squares / (total - 1)).sqrt().float(), (means[:, 0] + offset).float()


def group_std_bwd(
    feat: Tensor, idx: Tensor, anchor: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `feat` and `anchor`; arguments as `group_std_cpu.group_std_bwd`."""
    clouds, queries, k = idx.shape
    num_points, channels = feat.shape[1:]
    feat, idx, anchor = feat.contiguous(), idx.contiguous(), anchor.contiguous()
    dfeat, danchor = torch.empty_like(feat), torch.empty_like(anchor)
    if not clouds:
        return dfeat, danchor
    start, slot = inverse_table(idx.view(clouds, queries * k), num_points)
    block = channel_block(channels)
    across = triton.cdiv(channels, block)
    _sum_slots_kernel[(clouds * num_points, across)](
        feat, anchor, start, slot, mean, scale, dfeat,
        num_points, queries, k, channels, BLOCK_S=BLOCK_S, BLOCK_C=block, num_warps=1,
    )  # fmt: skip
    _sum_neighbours_kernel[(triton.cdiv(clouds * queries, BLOCK_M), across)](
        feat, idx, anchor, mean, scale, danchor,
        clouds * queries, num_points, queries, k, channels, BLOCK_M=BLOCK_M, BLOCK_C=block,
    )  # fmt: skip
    return dfeat, danchor


@triton.jit
def _support_rows(idx_ptr, queries, mask_q, j, cloud, N, K):
    """Row of the j-th neighbour of each query; row 0 of the cloud for an index outside it."""
    n = tl.load(idx_ptr + queries * K + j, mask=mask_q, other=0)
    return cloud * N + tl.where((n >= 0) & (n < N), n, 0)


@triton.jit
def _differences(feat_ptr, rows, anchor_ptr, owners, offs_c, C, mask):
    """feat[rows] - anchor[owners] in float32 for a block of channels."""
    value = tl.load(feat_ptr + rows[:, None] * C + offs_c[None, :], mask=mask, other=0.0)
    own = tl.load(anchor_ptr + owners[:, None] * C + offs_c[None, :], mask=mask, other=0.0)
    return value.to(tl.float32) - own.to(tl.float32)


@triton.jit
def _moments_kernel(
    feat_ptr, idx_ptr, anchor_ptr, moments_ptr,
    blocks, N, M, K, C,
    BLOCK_Q: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0).to(tl.int64)
    cloud = pid // blocks
    start = (pid % blocks) * BLOCK_Q
    queries = cloud * M + start + tl.arange(0, BLOCK_Q)
    mask_q = start + tl.arange(0, BLOCK_Q) < M
    columns = tl.arange(0, BLOCK_C)

    first = cloud * M + start
    n = tl.load(idx_ptr + first * K)
    n = cloud * N + tl.where((n >= 0) & (n < N), n, 0)
    shift = tl.load(feat_ptr + n * C).to(tl.float32) - tl.load(anchor_ptr + first * C).to(
        tl.float32
    )

    total = tl.zeros((BLOCK_Q, BLOCK_C), tl.float32)
    for j in range(0, K):
        rows = _support_rows(idx_ptr, queries, mask_q, j, cloud, N, K)
        for c in range(0, C, BLOCK_C):
            mask = mask_q[:, None] & (c + columns < C)[None, :]
            d = _differences(feat_ptr, rows, anchor_ptr, queries, c + columns, C, mask)
            total += tl.where(mask, d - shift, 0.0)
    count = tl.minimum(M - start, BLOCK_Q).to(tl.float32) * K * C
    centre = tl.sum(tl.sum(total, axis=1), axis=0) / count

    spread = tl.zeros((BLOCK_Q, BLOCK_C), tl.float32)
    for j in range(0, K):
        rows = _support_rows(idx_ptr, queries, mask_q, j, cloud, N, K)
        for c in range(0, C, BLOCK_C):
            mask = mask_q[:, None] & (c + columns < C)[None, :]
            d = _differences(feat_ptr, rows, anchor_ptr, queries, c + columns, C, mask)
            d = tl.where(mask, d - shift - centre, 0.0)
            spread += d * d
    tl.store(moments_ptr + pid * 3, shift)
    tl.store(moments_ptr + pid * 3 + 1, centre)
    tl.store(moments_ptr + pid * 3 + 2, tl.sum(tl.sum(spread, axis=1), axis=0))


@triton.jit
def _sum_slots_kernel(
    feat_ptr, anchor_ptr, start_ptr, slot_ptr, mean_ptr, scale_ptr, out_ptr,
    N, M, K, C,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    cloud = row // N
    first = tl.load(start_ptr + row + cloud)
    last = tl.load(start_ptr + row + cloud + 1)
    mean = tl.load(mean_ptr + cloud)
    value = tl.load(feat_ptr + row * C + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for i in range(first, last, BLOCK_S):
        offs_s = i + tl.arange(0, BLOCK_S)
        live = offs_s < last
        slot = tl.load(slot_ptr + cloud * M * K + offs_s, mask=live, other=0)
        owner = cloud * M + slot // K
        mask = live[:, None] & mask_c[None, :]
        own = tl.load(anchor_ptr + owner[:, None] * C + offs_c[None, :], mask=mask, other=0.0)
        d = (value[None, :] - own.to(tl.float32)) - mean
        total += tl.sum(tl.where(mask, d, 0.0), axis=0)
    total *= tl.load(scale_ptr + cloud)
    tl.store(out_ptr + row * C + offs_c, total, mask=mask_c)


@triton.jit
def _sum_neighbours_kernel(
    feat_ptr, idx_ptr, anchor_ptr, mean_ptr, scale_ptr, out_ptr,
    num_queries, N, M, K, C,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    queries = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_q = queries < num_queries
    mask = mask_q[:, None] & (offs_c < C)[None, :]
    cloud = queries // M
    mean = tl.load(mean_ptr + cloud, mask=mask_q, other=0.0)
    scale = tl.load(scale_ptr + cloud, mask=mask_q, other=0.0)
    total = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for j in range(0, K):
        rows = _support_rows(idx_ptr, queries, mask_q, j, cloud, N, K)
        d = _differences(feat_ptr, rows, anchor_ptr, queries, offs_c, C, mask)
        total -= d - mean[:, None]
    target = out_ptr + queries[:, None] * C + offs_c[None, :]
    tl.store(target, total * scale[:, None], mask=mask)

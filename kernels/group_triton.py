"""Triton kernels of `group`: rows gathered with their centre added, and the gradients.

A program owns a support point (or query) and a block of channels and adds its slots in a fixed
order in float32: no atomics, the same bits in every run.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.inverse_table import inverse_table

BLOCK_R = 16  # rows a program of the gather copies
BLOCK_S = 8  # slots in flight in a sum
BLOCK_M = 8  # queries a program of the centre's gradient owns


def channel_block(channels: int) -> int:
    """Channels a program owns: 64 float32 fill two 128-byte lines of a row."""
    return min(64, max(16, triton.next_power_of_2(channels)))


def group_fwd(feat: Tensor, idx: Tensor, centre: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return feat[idx] + centre (B, M, K, C) in `dtype`, zeros where idx is outside the cloud."""
    _, num_points, channels = feat.shape
    clouds, queries, k = idx.shape
    out = feat.new_empty(clouds, queries, k, channels, dtype=dtype)
    if out.numel() == 0:
        return out
    block = channel_block(channels)
    grid = (triton.cdiv(idx.numel(), BLOCK_R), triton.cdiv(channels, block))
    _gather_kernel[grid](
        feat.contiguous(), idx.contiguous(), None if centre is None else centre.contiguous(), out,
        idx.numel(), num_points, queries * k, k, channels, BLOCK_R=BLOCK_R, BLOCK_C=block,
    )  # fmt: skip
    return out


def group_bwd(
    grad: Tensor, idx: Tensor, num_points: int, has_centre: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `feat` (B, N, C) and of `centre` (B, M, C), empty without one.

    Both are of `dtype`.
    """
    clouds, queries, k, channels = grad.shape
    grad, idx = grad.contiguous(), idx.contiguous()
    dfeat = grad.new_empty(clouds, num_points, channels, dtype=dtype)
    dcentre = grad.new_empty((clouds, queries, channels) if has_centre else (0,), dtype=dtype)
    block = channel_block(channels)
    across = triton.cdiv(channels, block)
    if dfeat.numel():
        start, slot = inverse_table(idx.view(clouds, queries * k), num_points)
        _sum_slots_kernel[(clouds * num_points, across)](
            grad, start, slot, dfeat,
            num_points, queries * k, channels, BLOCK_S=BLOCK_S, BLOCK_C=block, num_warps=1,
        )  # fmt: skip
    if dcentre.numel():
        _sum_neighbours_kernel[(triton.cdiv(clouds * queries, BLOCK_M), across)](
            grad, idx, dcentre,
            clouds * queries, num_points, k, channels, BLOCK_M=BLOCK_M, BLOCK_C=block,
        )  # fmt: skip
    return dfeat, dcentre


@triton.jit
def _gather_kernel(
    feat_ptr, idx_ptr, centre_ptr, out_ptr,
    num_rows, N, slots, K, C,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_r = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_r = offs_r < num_rows
    mask_c = offs_c < C
    n = tl.load(idx_ptr + offs_r, mask=mask_r, other=-1)
    mask = ((n >= 0) & (n < N))[:, None] & mask_c[None, :]
    source = (offs_r // slots) * N + n
    value = tl.load(feat_ptr + source[:, None] * C + offs_c[None, :], mask=mask, other=0.0)
    value = value.to(tl.float32)
    if centre_ptr is not None:
        own = (offs_r // K)[:, None] * C + offs_c[None, :]
        value += tl.load(centre_ptr + own, mask=mask, other=0.0).to(tl.float32)
    target = out_ptr + offs_r[:, None] * C + offs_c[None, :]
    tl.store(target, value, mask=mask_r[:, None] & mask_c[None, :])


@triton.jit
def _sum_slots_kernel(
    grad_ptr, start_ptr, slot_ptr, out_ptr,
    N, slots, C,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    cloud = row // N
    first = tl.load(start_ptr + row + cloud)
    last = tl.load(start_ptr + row + cloud + 1)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for i in range(first, last, BLOCK_S):
        offs_s = i + tl.arange(0, BLOCK_S)
        live = offs_s < last
        slot = cloud * slots + tl.load(slot_ptr + cloud * slots + offs_s, mask=live, other=0)
        part = tl.load(
            grad_ptr + slot[:, None] * C + offs_c[None, :],
            mask=live[:, None] & mask_c[None, :],
            other=0.0,
        )
        total += tl.sum(part.to(tl.float32), axis=0)
    tl.store(out_ptr + row * C + offs_c, total, mask=mask_c)


@triton.jit
def _sum_neighbours_kernel(
    grad_ptr, idx_ptr, out_ptr,
    num_queries, N, K, C,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_m = offs_m < num_queries
    mask_c = offs_c < C
    total = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for j in range(0, K):
        n = tl.load(idx_ptr + offs_m * K + j, mask=mask_m, other=-1)
        mask = ((n >= 0) & (n < N))[:, None] & mask_c[None, :]
        source = (offs_m * K + j)[:, None] * C + offs_c[None, :]
        total += tl.load(grad_ptr + source, mask=mask, other=0.0).to(tl.float32)
    target = out_ptr + offs_m[:, None] * C + offs_c[None, :]
    tl.store(target, total, mask=mask_m[:, None] & mask_c[None, :])

"""Triton kernels of `group_max`: the running maximum of gathered rows, and its gradient.

Backward a program owns a support point and a block of channels and adds, in a fixed order, the
gradients of the queries where it won: no atomics, the same bits in every run.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.inverse_table import inverse_table

BLOCK_M = 4  # queries a program pools
BLOCK_S = 8  # slots in flight in a sum
MOST_CHANNELS = 128  # four a thread
AHEAD = 8  # neighbours in flight
NOBODY = tl.constexpr(255)


def channel_block(channels: int) -> int:
    """Channels a program owns."""
    return min(MOST_CHANNELS, max(16, triton.next_power_of_2(channels)))


def group_max_fwd(feat: Tensor, idx: Tensor, centre: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return max_k feat[idx] + centre (B, M, C) and the winners, 255 where all is padding."""
    _, num_points, channels = feat.shape
    clouds, queries, k = idx.shape
    out = feat.new_empty(clouds, queries, channels)
    winner = torch.empty(out.shape, dtype=torch.uint8, device=feat.device)
    if out.numel() == 0:
        return out, winner
    block = channel_block(channels)
    grid = (triton.cdiv(clouds * queries, BLOCK_M), triton.cdiv(channels, block))
    _pool_kernel[grid](
        feat.contiguous(), idx.contiguous(), None if centre is None else centre.contiguous(),
        out, winner,
        clouds * queries, num_points, queries, k, channels,
        BLOCK_M=BLOCK_M, BLOCK_C=block, AHEAD=AHEAD, num_warps=1,
    )  # fmt: skip
    return out, winner


def group_max_bwd(grad: Tensor, idx: Tensor, winner: Tensor, num_points: int) -> Tensor:
    """Return the gradient of `feat` (B, N, C)."""
    clouds, queries, k = idx.shape
    channels = grad.shape[2]
    dfeat = grad.new_empty(clouds, num_points, channels)
    if dfeat.numel() == 0:
        return dfeat
    start, slot = inverse_table(idx.reshape(clouds, queries * k), num_points)
    block = channel_block(channels)
    _scatter_kernel[(clouds * num_points, triton.cdiv(channels, block))](
        grad.contiguous(), winner, start, slot, dfeat,
        num_points, queries, k, channels, BLOCK_S=BLOCK_S, BLOCK_C=block, num_warps=1,
    )  # fmt: skip
    return dfeat


@triton.jit
def _pool_kernel(
    feat_ptr, idx_ptr, centre_ptr, out_ptr, winner_ptr,
    num_queries, N, M, K, C,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_m = offs_m < num_queries
    mask_c = offs_c < C
    cloud = (offs_m // M) * N
    best = tl.full((BLOCK_M, BLOCK_C), float("-inf"), tl.float32)
    who = tl.full((BLOCK_M, BLOCK_C), NOBODY, tl.int32)
    for begin in range(0, K, AHEAD):
        for ahead in tl.static_range(AHEAD):
            j = begin + ahead
            n = tl.load(idx_ptr + offs_m * K + j, mask=mask_m & (offs_m * 0 + j < K), other=-1)
            live = ((n >= 0) & (n < N))[:, None] & mask_c[None, :]
            source = (cloud + n)[:, None] * C + offs_c[None, :]
            value = tl.load(feat_ptr + source, mask=live, other=0.0).to(tl.float32)
            better = (value > best) | ((value != value) & (best == best)) | (who == NOBODY)
            wins = live & better
            best = tl.where(wins, value, best)
            who = tl.where(wins, j, who)
    place = offs_m[:, None] * C + offs_c[None, :]
    mask = mask_m[:, None] & mask_c[None, :]
    if centre_ptr is not None:
        best += tl.load(centre_ptr + place, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_ptr + place, tl.where(who == NOBODY, 0.0, best), mask=mask)
    tl.store(winner_ptr + place, who.to(tl.uint8), mask=mask)


@triton.jit
def _scatter_kernel(
    grad_ptr, winner_ptr, start_ptr, slot_ptr, out_ptr,
    N, M, K, C,
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
        slot = tl.load(slot_ptr + cloud * M * K + offs_s, mask=live, other=0)
        source = (cloud * M + slot // K)[:, None] * C + offs_c[None, :]
        mask = live[:, None] & mask_c[None, :]
        who = tl.load(winner_ptr + source, mask=mask, other=255).to(tl.int32)
        won = mask & (who == (slot % K).to(tl.int32)[:, None])
        part = tl.load(grad_ptr + source, mask=won, other=0.0)
        total += tl.sum(part.to(tl.float32), axis=0)
    tl.store(out_ptr + row * C + offs_c, total, mask=mask_c)

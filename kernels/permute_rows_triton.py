"""Triton kernels that take rows of sequences and put gradients back; every row moves once."""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK_R = 16  # rows a program moves


def permute_rows_fwd(x: Tensor, rows: Tensor) -> Tensor:
    """Return x[b, rows[b]] (B, M, C), zeros for rows out of range."""
    out = x.new_empty(*rows.shape, x.shape[2])
    _move(x.contiguous(), rows, out, x.shape[1], PUT=False)
    return out


def permute_rows_bwd(grad: Tensor, rows: Tensor, count: int) -> Tensor:
    """Return (B, count, C) with grad[b, m] at row rows[b, m], else zeros."""
    clouds, taken, channels = grad.shape
    shape = (clouds, count, channels)
    # A whole permutation overwrites every row.
    out = grad.new_empty(shape) if taken == count else grad.new_zeros(shape)
    _move(grad.contiguous(), rows, out, count, PUT=True)
    return out


def _move(source: Tensor, rows: Tensor, target: Tensor, count: int, *, PUT: bool) -> None:
    channels, block = source.shape[2], min(128, triton.next_power_of_2(max(source.shape[2], 1)))
    if rows.numel() and channels:
        _move_kernel[(triton.cdiv(rows.numel(), BLOCK_R), triton.cdiv(channels, block))](
            source, rows.contiguous(), target, rows.numel(), rows.shape[1], count, channels,
            PUT=PUT, BLOCK_R=BLOCK_R, BLOCK_C=block,
        )  # fmt: skip


@triton.jit
def _move_kernel(
    source_ptr, rows_ptr, target_ptr, total, M, N, C,
    PUT: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_m, mask_c = offs_m < total, offs_c < C
    row = tl.load(rows_ptr + offs_m, mask=mask_m, other=-1)
    inside = (row >= 0) & (row < N)
    row += (offs_m // M) * N
    mask = mask_m[:, None] & mask_c[None, :]
    there = inside[:, None] & mask
    if PUT:
        value = tl.load(source_ptr + offs_m[:, None] * C + offs_c[None, :], mask=mask, other=0)
        tl.store(target_ptr + row[:, None] * C + offs_c[None, :], value, mask=there)
    else:
        value = tl.load(source_ptr + row[:, None] * C + offs_c[None, :], mask=there, other=0)
        tl.store(target_ptr + offs_m[:, None] * C + offs_c[None, :], value, mask=mask)

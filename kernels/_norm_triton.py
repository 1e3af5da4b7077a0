"""What the Triton kernels of batch normalisation share: column sums in a fixed order.

Sums over rows go in two launches: each program adds a chunk of rows of some channels in float32,
then the chunks are added in float64. The chunks depend on the shape alone and nothing is atomic, so
every run gives the same bits.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_R = 32  # rows in flight in a sum
BLOCK_P = 64  # chunks in flight in the second launch
MERGED_C = 8  # channels a program of the second launch owns


def channel_block(channels: int) -> int:
    """Channels a program owns: 64 of 16 bits fill a 128-byte line."""
    return min(64, max(16, triton.next_power_of_2(channels)))


def rows_in_chunk(rows: int) -> int:
    """Rows a program adds: 256 to 512 chunks fill the chip, fewer where rows are few."""
    return max(64, triton.next_power_of_2(triton.cdiv(rows, 512)))


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the biased variance (C,) float32 of contiguous rows (R, C)."""
    rows, channels = x.shape
    chunk = rows_in_chunk(rows)
    chunks = triton.cdiv(rows, chunk)
    partial = torch.empty(chunks, 3, channels, dtype=torch.float32, device=x.device)
    block = channel_block(channels)
    _moments_kernel[(chunks, triton.cdiv(channels, block))](
        x, partial, rows, channels, chunk, BLOCK_R=BLOCK_R, BLOCK_C=block
    )
    return merge_moments(partial, rows, chunk)


def merge_moments(partial: Tensor, rows: int, chunk: int) -> tuple[Tensor, Tensor]:
    """Merge (P, 3, C) shifts, sums and squares past the shift of `chunk` rows, the last fewer."""
    chunks, _, channels = partial.shape
    mean, var = partial.new_empty(channels), partial.new_empty(channels)
    _merge_moments_kernel[(triton.cdiv(channels, MERGED_C),)](
        partial, mean, var, rows, chunk, chunks, channels, BLOCK_P=BLOCK_P, BLOCK_C=MERGED_C
    )
    return mean, var


def merge_sums(partial: Tensor) -> tuple[Tensor, Tensor]:
    """Add the two sums of each of (P, 2, C) chunks: two times (C,) float32."""
    chunks, _, channels = partial.shape
    first, second = partial.new_empty(channels), partial.new_empty(channels)
    _merge_sums_kernel[(triton.cdiv(channels, MERGED_C), 2)](
        partial, first, second, chunks, channels, BLOCK_P=BLOCK_P, BLOCK_C=MERGED_C
    )
    return first, second


@triton.jit
def _moments_kernel(
    x_ptr, partial_ptr, R, C, chunk, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr
):  # fmt: skip
    pid = tl.program_id(0).to(tl.int64)
    offs_c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    begin = pid * chunk
    shift = tl.load(x_ptr + begin * C + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    total = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    square = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for step in range(0, chunk, BLOCK_R):
        rows = begin + step + tl.arange(0, BLOCK_R)
        mask = (rows < R)[:, None] & mask_c[None, :]
        x = tl.load(x_ptr + rows[:, None] * C + offs_c[None, :], mask=mask, other=0.0)
        past = tl.where(mask, x.to(tl.float32) - shift[None, :], 0.0)
        total += past
        square += past * past
    target = partial_ptr + pid * 3 * C + offs_c
    tl.store(target, shift, mask=mask_c)
    tl.store(target + C, tl.sum(total, axis=0), mask=mask_c)
    tl.store(target + 2 * C, tl.sum(square, axis=0), mask=mask_c)


@triton.jit
def _merge_moments_kernel(
    partial_ptr, mean_ptr, var_ptr, R, chunk, chunks, C,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    offs_c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask_c = offs_c < C
    first = tl.zeros((BLOCK_P, BLOCK_C), tl.float64)
    second = tl.zeros((BLOCK_P, BLOCK_C), tl.float64)
    for step in range(0, chunks, BLOCK_P):
        offs_p = (step + tl.arange(0, BLOCK_P)).to(tl.int64)
        live = offs_p < chunks
        mask = live[:, None] & mask_c[None, :]
        source = partial_ptr + offs_p[:, None] * 3 * C + offs_c[None, :]
        shift = tl.load(source, mask=mask, other=0.0).to(tl.float64)
        total = tl.load(source + C, mask=mask, other=0.0).to(tl.float64)
        square = tl.load(source + 2 * C, mask=mask, other=0.0).to(tl.float64)
        count = tl.where(live, tl.minimum(R - offs_p * chunk, chunk), 1).to(tl.float64)[:, None]
        mean = shift + total / count
        first += tl.where(mask, count * mean, 0.0)
        second += tl.where(mask, square - total * total / count + count * mean * mean, 0.0)
    mean = tl.sum(first, axis=0) / R
    var = tl.sum(second, axis=0) / R - mean * mean
    tl.store(mean_ptr + offs_c, mean.to(tl.float32), mask=mask_c)
    # Not a maximum, which would hide NaN.
    tl.store(var_ptr + offs_c, tl.where(var < 0.0, 0.0, var).to(tl.float32), mask=mask_c)


@triton.jit
def _merge_sums_kernel(
    partial_ptr, first_ptr, second_ptr, chunks, C, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr
):  # fmt: skip
    offs_c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    which = tl.program_id(1)
    mask_c = offs_c < C
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float64)
    for step in range(0, chunks, BLOCK_P):
        offs_p = (step + tl.arange(0, BLOCK_P)).to(tl.int64)
        mask = (offs_p < chunks)[:, None] & mask_c[None, :]
        source = partial_ptr + (offs_p[:, None] * 2 + which) * C + offs_c[None, :]
        total += tl.load(source, mask=mask, other=0.0).to(tl.float64)
    result = tl.sum(total, axis=0).to(tl.float32)
    if which == 0:
        tl.store(first_ptr + offs_c, result, mask=mask_c)
    else:
        tl.store(second_ptr + offs_c, result, mask=mask_c)


@triton.jit
def channel_norm(mean_ptr, var_ptr, weight_ptr, offs_c, mask_c, eps):
    """Mean, reciprocal deviation and scale of some channels."""
    mean = tl.load(mean_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    var = tl.load(var_ptr + offs_c, mask=mask_c, other=1.0).to(tl.float32)
    weight = tl.load(weight_ptr + offs_c, mask=mask_c, other=0.0).to(tl.float32)
    return mean, 1.0 / tl.sqrt(var + eps), weight

"""Triton kernels of farthest point sampling: a program a cloud, one step after the other.

The next sample has the largest key: the distance's bits above the index counted from the end, so
that of equal distances the lowest index wins. Clouds that fit stay in registers with their
distances; larger ones are read again at each step.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

REGISTER_POINTS = 8192
BLOCK_N = 4096
FAR = tl.constexpr(float("inf"))
LAST = tl.constexpr(0x7FFFFFFF)


def farthest_point_sample_fwd(
    xyz: Tensor, offsets: Tensor, start: Tensor, sample_offsets: Tensor, rows: int, longest: int
) -> Tensor:
    """Return the samples (rows,) int64 of ragged clouds (T, 3), -1 past a cloud's last point."""
    samples = torch.full((rows,), -1, dtype=torch.int64, device=xyz.device)
    if rows == 0 or longest == 0:
        return samples
    tables = (t.contiguous() for t in (offsets, start, sample_offsets))
    arguments = (xyz.contiguous(), *tables, samples)
    grid = (len(offsets) - 1,)
    if longest <= REGISTER_POINTS:
        block = max(32, triton.next_power_of_2(longest))
        warps = min(32, max(1, block // 256))
        _register_kernel[grid](*arguments, BLOCK_N=block, num_warps=warps, enable_fp_fusion=False)
        return samples
    nearest = torch.full((len(xyz),), torch.inf, device=xyz.device)
    _memory_kernel[grid](*arguments, nearest, BLOCK_N=BLOCK_N, num_warps=16, enable_fp_fusion=False)
    return samples


@triton.jit
def _cloud(offsets_ptr, start_ptr, sample_offsets_ptr):
    """First row, length, start, first sample and number of samples of the program's cloud."""
    cloud = tl.program_id(0).to(tl.int64)
    low = tl.load(offsets_ptr + cloud)
    length = tl.load(offsets_ptr + cloud + 1) - low
    first = tl.load(sample_offsets_ptr + cloud)
    count = tl.minimum(tl.load(sample_offsets_ptr + cloud + 1) - first, length)
    # A start outside the cloud is the caller's error; it must not become a read outside memory.
    start = tl.maximum(tl.minimum(tl.load(start_ptr + cloud), length - 1), 0)
    return low, length, start, first, count


@triton.jit
def _load_points(xyz_ptr, row, mask):
    x = tl.load(xyz_ptr + row * 3, mask=mask, other=0.0)
    y = tl.load(xyz_ptr + row * 3 + 1, mask=mask, other=0.0)
    z = tl.load(xyz_ptr + row * 3 + 2, mask=mask, other=0.0)
    return x, y, z


@triton.jit
def _distance2(xyz_ptr, row, x, y, z):
    dx = x - tl.load(xyz_ptr + row * 3)
    dy = y - tl.load(xyz_ptr + row * 3 + 1)
    dz = z - tl.load(xyz_ptr + row * 3 + 2)
    return (dx * dx + dy * dy) + dz * dz


@triton.jit
def _key(dist2, offs, mask):
    key = (dist2.to(tl.int32, bitcast=True).to(tl.int64) << 32) | (-offs + LAST).to(tl.int64)
    return tl.where(mask, key, -1)


@triton.jit
def _register_kernel(
    xyz_ptr, offsets_ptr, start_ptr, sample_offsets_ptr, sample_ptr, BLOCK_N: tl.constexpr
):
    low, length, last, first, count = _cloud(offsets_ptr, start_ptr, sample_offsets_ptr)
    offs = tl.arange(0, BLOCK_N)
    mask = offs < length
    x, y, z = _load_points(xyz_ptr, low + offs, mask)
    nearest = tl.full((BLOCK_N,), FAR, tl.float32)
    for m in range(0, count):
        tl.store(sample_ptr + first + m, last)
        nearest = tl.minimum(nearest, _distance2(xyz_ptr, low + last, x, y, z))
        last = -(tl.max(_key(nearest, offs, mask), axis=0) & 0xFFFFFFFF) + LAST


@triton.jit
def _memory_kernel(
    xyz_ptr, offsets_ptr, start_ptr, sample_offsets_ptr, sample_ptr, nearest_ptr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    low, length, last, first, count = _cloud(offsets_ptr, start_ptr, sample_offsets_ptr)
    for m in range(0, count):
        tl.store(sample_ptr + first + m, last)
        peaks = tl.full((BLOCK_N,), -1, tl.int64)
        for begin in range(0, length, BLOCK_N):
            offs = begin + tl.arange(0, BLOCK_N)
            mask = offs < length
            x, y, z = _load_points(xyz_ptr, low + offs, mask)
            nearest = tl.load(nearest_ptr + low + offs, mask=mask, other=0.0)
            nearest = tl.minimum(nearest, _distance2(xyz_ptr, low + last, x, y, z))
            tl.store(nearest_ptr + low + offs, nearest, mask=mask)
            peaks = tl.maximum(peaks, _key(nearest, offs, mask))
        # The distances must be written before another thread reads them in the next step.
        tl.debug_barrier()
        last = -(tl.max(peaks, axis=0) & 0xFFFFFFFF) + LAST

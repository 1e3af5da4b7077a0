"""Triton kernel of the nearest neighbour search: a warp a query, support in tiles.

A key is the distance's bits above the index: keys order by distance, then by index, and no two
are equal. The k best keys lie unordered in registers; a tile gives up its smallest key as long as
that beats the worst of them, which replaces it.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.ragged import cloud_of_row

BLOCK_N = 512
NO_KEY = tl.constexpr(0x7FFFFFFFFFFFFFFF)
NO_DISTANCE = tl.constexpr(0x7FFFFFFF)


def knn_fwd(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0."""
    idx = torch.empty(len(query), k, dtype=torch.int64, device=query.device)
    dist2 = torch.empty(len(query), k, device=query.device)
    if len(query) == 0:
        return idx, dist2
    block = min(BLOCK_N, max(32, triton.next_power_of_2(len(support))))
    _knn_kernel[(len(query),)](
        query.contiguous(), support.contiguous(), cloud_of_row(query_offsets, len(query)),
        support_offsets.contiguous(), idx, dist2,
        k, BLOCK_K=triton.next_power_of_2(k), BLOCK_N=block,
        num_warps=1, enable_fp_fusion=False,
    )  # fmt: skip
    return idx, dist2


@triton.jit
def _tile_keys(support_ptr, low, offs, length, px, py, pz):
    """Keys of one tile of the cloud, none where the cloud has ended."""
    mask = offs < length
    point = support_ptr + (low + offs) * 3
    dx = px - tl.load(point, mask=mask, other=0.0)
    dy = py - tl.load(point + 1, mask=mask, other=0.0)
    dz = pz - tl.load(point + 2, mask=mask, other=0.0)
    bits = ((dx * dx + dy * dy) + dz * dz).to(tl.int32, bitcast=True)
    return tl.where(mask, (bits.to(tl.int64) << 32) | offs.to(tl.int64), NO_KEY)


@triton.jit
def _knn_kernel(
    query_ptr, support_ptr, cloud_ptr, support_offsets_ptr, idx_ptr, dist2_ptr,
    k, BLOCK_K: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    cloud = tl.load(cloud_ptr + row)
    low = tl.load(support_offsets_ptr + cloud)
    length = tl.load(support_offsets_ptr + cloud + 1) - low
    px = tl.load(query_ptr + row * 3)
    py = tl.load(query_ptr + row * 3 + 1)
    pz = tl.load(query_ptr + row * 3 + 2)
    slots = tl.arange(0, BLOCK_K)
    used = slots < k
    # Free slots are all different, so that a new key replaces one of them at a time.
    best = NO_KEY - slots.to(tl.int64)
    worst = tl.max(tl.where(used, best, -1), axis=0)
    for begin in range(0, length, BLOCK_N):
        keys = _tile_keys(support_ptr, low, begin + tl.arange(0, BLOCK_N), length, px, py, pz)
        near = tl.min(keys, axis=0)
        while (near < worst) & ((near >> 32) != NO_DISTANCE):
            best = tl.where(best == worst, near, best)
            worst = tl.max(tl.where(used, best, -1), axis=0)
            keys = tl.where(keys == near, NO_KEY, keys)
            near = tl.min(keys, axis=0)
    best = tl.where(used, best, NO_KEY)
    for rank in range(0, k):
        near = tl.min(best, axis=0)
        best = tl.where(best == near, NO_KEY, best)
        bits = (near >> 32).to(tl.int32)
        found = bits != NO_DISTANCE
        tl.store(idx_ptr + row * k + rank, tl.where(found, near & 0xFFFFFFFF, -1))
        distance = tl.where(found, bits, 0).to(tl.float32, bitcast=True)
        tl.store(dist2_ptr + row * k + rank, distance)

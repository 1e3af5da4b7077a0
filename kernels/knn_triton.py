"""Triton kernel of the k nearest neighbours: k passes, each for the smallest key not yet taken.

A key is the distance's bits above the index, so keys order by distance, then by index, and no two
are equal. Distances are never negative, so their bits order like the numbers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_Q, BLOCK_N = 16, 256
NO_KEY = tl.constexpr(0x7FFFFFFFFFFFFFFF)


def knn_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    longest: int,
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, k) int64 inside the cloud and dist2 (Q, k) float32, nearest first."""
    keys = torch.empty(len(query), k, dtype=torch.int64, device=query.device)
    if keys.numel():
        _knn_kernel[(triton.cdiv(longest, BLOCK_Q), len(query_offsets) - 1)](
            query.contiguous(),
            support.contiguous(),
            query_offsets,
            support_offsets,
            keys,
            k,
            BLOCK_Q=BLOCK_Q,
            BLOCK_N=BLOCK_N,
            enable_fp_fusion=False,
        )
    return keys & 0xFFFFFFFF, (keys >> 32).to(torch.int32).view(torch.float32)


@triton.jit
def _knn_kernel(
    query_ptr,
    support_ptr,
    query_offsets_ptr,
    support_offsets_ptr,
    key_ptr,
    k,
    BLOCK_Q: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    cloud = tl.program_id(1).to(tl.int64)
    low = tl.load(support_offsets_ptr + cloud)
    count = tl.load(support_offsets_ptr + cloud + 1) - low
    rows = tl.load(query_offsets_ptr + cloud) + tl.program_id(0).to(tl.int64) * BLOCK_Q
    rows += tl.arange(0, BLOCK_Q)
    mask_q = rows < tl.load(query_offsets_ptr + cloud + 1)
    px = tl.load(query_ptr + rows * 3, mask=mask_q, other=0.0)
    py = tl.load(query_ptr + rows * 3 + 1, mask=mask_q, other=0.0)
    pz = tl.load(query_ptr + rows * 3 + 2, mask=mask_q, other=0.0)
    taken = tl.full((BLOCK_Q,), -1, tl.int64)
    for rank in range(0, k):
        best = tl.full((BLOCK_Q,), NO_KEY, tl.int64)
        for start in range(0, count, BLOCK_N):
            offs = start + tl.arange(0, BLOCK_N)
            mask_n = offs < count
            point = support_ptr + (low + offs) * 3
            dx = px[:, None] - tl.load(point, mask=mask_n, other=0.0)[None, :]
            dy = py[:, None] - tl.load(point + 1, mask=mask_n, other=0.0)[None, :]
            dz = pz[:, None] - tl.load(point + 2, mask=mask_n, other=0.0)[None, :]
            dist2 = (dx * dx + dy * dy) + dz * dz
            key = (dist2.to(tl.int32, bitcast=True).to(tl.int64) << 32) | offs.to(tl.int64)[None, :]
            free = mask_n[None, :] & (key > taken[:, None])
            best = tl.minimum(best, tl.min(tl.where(free, key, NO_KEY), axis=1))
        tl.store(key_ptr + rows * k + rank, best, mask=mask_q)
        taken = best

"""Triton kernel of the ball query: a warp a query, tiles in index order until enough are inside."""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels.ragged import cloud_of_row

BLOCK_N = 128


def ball_query_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    radius: float,
    k: int,
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0."""
    idx = torch.full((len(query), k), -1, dtype=torch.int64, device=query.device)
    dist2 = torch.zeros(len(query), k, device=query.device)
    if len(query) == 0:
        return idx, dist2
    limit = float(np.float32(radius) * np.float32(radius))
    _ball_kernel[(len(query),)](
        query.contiguous(), support.contiguous(), cloud_of_row(query_offsets, len(query)),
        support_offsets.contiguous(), idx, dist2,
        limit, k, BLOCK_N=BLOCK_N,
        num_warps=1, enable_fp_fusion=False,
    )  # fmt: skip
    return idx, dist2


@triton.jit
def _ball_kernel(
    query_ptr, support_ptr, cloud_ptr, support_offsets_ptr, idx_ptr, dist2_ptr,
    limit, k, BLOCK_N: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    cloud = tl.load(cloud_ptr + row)
    low = tl.load(support_offsets_ptr + cloud)
    length = tl.load(support_offsets_ptr + cloud + 1) - low
    px = tl.load(query_ptr + row * 3)
    py = tl.load(query_ptr + row * 3 + 1)
    pz = tl.load(query_ptr + row * 3 + 2)
    begin = length * 0
    count = 0
    while (begin < length) & (count < k):
        offs = begin + tl.arange(0, BLOCK_N)
        mask = offs < length
        point = support_ptr + (low + offs) * 3
        dx = px - tl.load(point, mask=mask, other=0.0)
        dy = py - tl.load(point + 1, mask=mask, other=0.0)
        dz = pz - tl.load(point + 2, mask=mask, other=0.0)
        dist2 = (dx * dx + dy * dy) + dz * dz
        inside = (mask & (dist2 < limit)).to(tl.int32)
        place = count + tl.cumsum(inside, axis=0) - 1
        kept = (inside > 0) & (place < k)
        tl.store(idx_ptr + row * k + place, offs, mask=kept)
        tl.store(dist2_ptr + row * k + place, dist2, mask=kept)
        count += tl.sum(inside, axis=0)
        begin += BLOCK_N

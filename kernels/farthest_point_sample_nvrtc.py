"""CUDA kernel of farthest point sampling: a cluster of blocks a cloud, points in registers."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc

THREADS = 512
MOST_OWN = 16  # points a thread keeps
MOST_SPREAD = 8  # blocks of a cluster on any chip that has clusters
LARGEST = MOST_SPREAD * THREADS * MOST_OWN


def farthest_point_sample_fwd(
    xyz: Tensor, offsets: Tensor, start: Tensor, sample_offsets: Tensor, rows: int, longest: int
) -> Tensor:
    """Sample ragged clouds (T, 3), none longer than `longest` <= `LARGEST`, into (rows,) int64."""
    sample = torch.empty(rows, dtype=torch.int64, device=xyz.device)
    clouds = len(start)
    if rows == 0 or clouds == 0:
        return sample
    spread, own = layout(longest)
    macros = (("THREADS", THREADS), ("SPREAD", spread), ("OWN", own))
    kernel = _nvrtc.load(
        *("farthest_point_sample", "farthest_point_sample", "PPPPP", macros),
        xyz.device.index or 0,
    )
    kernel(
        (clouds * spread, 1, 1), THREADS,
        xyz.contiguous(), offsets.contiguous(), start.contiguous(), sample_offsets.contiguous(),
        sample,
    )  # fmt: skip
    return sample


def layout(longest: int) -> tuple[int, int]:
    """Return the blocks of a cluster and the points of a thread for clouds of this length."""
    blocks = -(-longest // (4 * THREADS))
    spread = next(size for size in (1, 2, 4, MOST_SPREAD) if size >= min(blocks, MOST_SPREAD))
    needed = -(-longest // (spread * THREADS))
    return spread, next(own for own in (1, 2, 4, 8, MOST_OWN) if own >= needed)

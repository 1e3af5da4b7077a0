"""CUDA kernels of the nearest neighbour search: all pairs in small clouds, a grid in large ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels.ragged import cloud_of_row

MOST_NEIGHBOURS = 32  # one a lane
THREADS = 128
WARPS = THREADS // 32
GRID_FROM = 16384  # support points a cloud, on average, from which a grid pays
PER_CELL = 2  # points a cell, were they spread evenly over the box
LARGEST_SIDE = 128
MACROS = (("THREADS", THREADS),)


def knn_fwd(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0.

    `k` is at most 32. The host never waits: which way is taken depends on sizes alone.
    """
    idx = torch.empty(len(query), k, dtype=torch.int64, device=query.device)
    dist2 = torch.empty(len(query), k, device=query.device)
    if len(query) == 0:
        return idx, dist2
    query, support = query.contiguous(), support.contiguous()
    query_offsets, support_offsets = query_offsets.contiguous(), support_offsets.contiguous()
    clouds = max(len(support_offsets) - 1, 1)
    cloud = cloud_of_row(query_offsets, len(query))
    if len(support) // clouds >= GRID_FROM:
        _search_grid(query, support, cloud, support_offsets, k, idx, dist2)
        return idx, dist2
    launch = _kernel("knn", "knn", "PPPPPPqi", query)
    launch(
        (-(-len(query) // WARPS), 1, 1), THREADS,
        query, support, cloud, support_offsets, idx, dist2, len(query), k,
    )  # fmt: skip
    return idx, dist2


def grid_side(points: int) -> int:
    """Return the cells along the longest side of a cloud's box, for so many points."""
    return max(1, min(LARGEST_SIDE, round((points / PER_CELL) ** (1 / 3))))


def _search_grid(
    query: Tensor,
    support: Tensor,
    cloud: Tensor,
    offsets: Tensor,
    k: int,
    idx: Tensor,
    dist2: Tensor,
) -> None:
    clouds = len(offsets) - 1
    side = grid_side(len(support) // clouds)
    box = _boxes(support, offsets)
    own = cloud_of_row(offsets, len(support))
    cell, order = _sort_by_cell(support, own, box, side)
    # In the order of their cells, neighbouring queries read the same points.
    same = query.data_ptr() == support.data_ptr() and len(query) == len(support)
    turn = order if same else _sort_by_cell(query, cloud, box, side)[1]
    bounds = torch.arange(clouds * side**3 + 1, dtype=torch.int32, device=query.device)
    start = torch.searchsorted(cell, bounds, out_int32=True)
    arranged = torch.empty(len(support), 4, device=query.device)
    _kernel("knn_grid", "arrange", "PPPPPq", query)(
        (-(-len(support) // 256), 1, 1), 256, support, order, own, offsets, arranged, len(support)
    )
    _kernel("knn_grid", "search", "PPPPPPPPqii", query)(
        (-(-len(query) // WARPS), 1, 1), THREADS,
        query, turn, cloud, box, arranged, start, idx, dist2, len(query), k, side,
    )  # fmt: skip


def _boxes(points: Tensor, offsets: Tensor) -> Tensor:
    """Return the lowest and highest coordinates (B, 6) of ragged clouds."""
    if len(offsets) == 2:
        return torch.cat(torch.aminmax(points, dim=0))[None]
    ends = (torch.segment_reduce(points, how, offsets=offsets) for how in ("min", "max"))
    return torch.cat(tuple(ends), dim=1)


def _sort_by_cell(points: Tensor, cloud: Tensor, box: Tensor, side: int) -> tuple[Tensor, Tensor]:
    cell = torch.empty(len(points), dtype=torch.int32, device=points.device)
    _kernel("knn_grid", "cells", "PPPPqi", points)(
        (-(-len(points) // 256), 1, 1), 256, points, cloud, box, cell, len(points), side
    )
    keys, order = cell.sort(stable=True)
    return keys, order


def _kernel(source: str, entry: str, signature: str, tensor: Tensor) -> Any:
    return _nvrtc.load(source, entry, signature, MACROS, tensor.device.index or 0)

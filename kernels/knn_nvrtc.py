"""CUDA launchers of the nearest neighbour search: all pairs, or a tree of boxes beyond."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels.curve_nvrtc import curve_order

MOST_NEIGHBORS = 32  # one for each lane of a warp
TREE_POINTS = 4096  # mean size of the clouds from which sorting them pays
FAN = 32
WARPS = 8
THREADS = 32 * WARPS
BOX_FLOATS = 8


def knn_fwd(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return idx (Q, K) int64 and dist2 (Q, K) float32 of ragged points, padded with -1 and 0."""
    idx = torch.empty(len(query), k, dtype=torch.int64, device=query.device)
    dist2 = torch.empty(len(query), k, device=query.device)
    if len(query) == 0:
        return idx, dist2
    query, support = query.contiguous(), support.contiguous()
    cuts, bounds = query_offsets.contiguous(), support_offsets.contiguous()
    search = _search_tree if len(support) > TREE_POINTS * (len(bounds) - 1) else _search_all
    search(query, support, cuts, bounds, idx, dist2)
    return idx, dist2


def _blocks(warps: int) -> tuple[int, int, int]:
    return -(-warps // WARPS), 1, 1


def _search_all(
    query: Tensor, support: Tensor, cuts: Tensor, bounds: Tensor, idx: Tensor, dist2: Tensor
) -> None:
    kernel = _nvrtc.load("knn", "knn_all", "PPPPPPiqqi", (("LEVELS", 1),), query.device.index)
    planes = support.t().contiguous()
    sizes = (len(bounds) - 1, len(query), len(support), idx.shape[1])
    kernel(_blocks(len(query)), THREADS, query, planes, cuts, bounds, idx, dist2, *sizes)


def _search_tree(
    query: Tensor, support: Tensor, cuts: Tensor, bounds: Tensor, idx: Tensor, dist2: Tensor
) -> None:
    order = curve_order(support, bounds)
    alike = query.data_ptr() == support.data_ptr() and len(query) == len(support)
    query_order = order if alike else curve_order(query, cuts)
    points, boxes, levels = _build_tree(support, bounds, order)
    kernel = _nvrtc.load(
        "knn", "knn_tree", "PPPPPPPPiqqi", (("LEVELS", levels),), query.device.index
    )
    sizes = (len(bounds) - 1, len(query), len(support), idx.shape[1])
    tables = (query, points, boxes, query_order, cuts, bounds, idx, dist2)
    kernel(_blocks(len(query)), THREADS, *tables, *sizes)


def tree_slots(total: int, clouds: int) -> list[int]:
    """Boxes of each level, from that of the points to one of which a cloud has at most 32."""
    slots = [total // FAN + clouds]
    size = FAN
    while -(-total // size) > FAN:
        size *= FAN
        slots.append(total // size + clouds)
    return slots


def _build_tree(support: Tensor, bounds: Tensor, order: Tensor) -> tuple[Tensor, Tensor, int]:
    clouds = len(bounds) - 1
    slots = tree_slots(len(support), clouds)
    points = torch.empty(len(support), 4, device=support.device)
    boxes = torch.empty(sum(slots), BOX_FLOATS, device=support.device)
    macros = (("LEVELS", len(slots)),)
    build = _nvrtc.load("knn", "build_level", "PPPPPPiqi", macros, support.device.index)
    below, first = boxes, 0
    for level, count in enumerate(slots):
        level_boxes = boxes[first:]
        tables = (support, bounds, order, points, below, level_boxes)
        build(_blocks(count), THREADS, *tables, clouds, count, level)
        below, first = level_boxes, first + count
    return points, boxes, len(slots)

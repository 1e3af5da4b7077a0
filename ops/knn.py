"""Nearest neighbours: idx[m] = the k support points with the smallest (dist2, index)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._points import (
    check_finite,
    check_point_offsets,
    resolve_point_impl,
    working_points,
)
from pcmamba.ops._sequences import dense_offsets
from pcmamba.ops.neighbors import Neighbors, neighbor_dist2, save_search, search_backward


def knn(
    query: Tensor,
    support: Tensor,
    k: int,
    *,
    query_offsets: Tensor | None = None,
    support_offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Neighbors:
    """Find the `k` support points nearest to each query point.

    Distances are taken from coordinate differences and rounded alike by all implementations, so
    the indices are the same on any device. Equal distances are ordered by index.

    Args:
        query: (B, M, 3) query points, or ragged (Q, 3) with `query_offsets`.
        support: (B, N, 3) points to search, or ragged (T, 3) with `support_offsets`.
        k: Neighbours of a query; a query that is a support point is among its own.
        query_offsets: (B + 1,) int64 bounds of the clouds in `query`.
        support_offsets: (B + 1,) int64 bounds of the clouds in `support`.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        idx: (B, M, K) int64, nearest first, counted inside the cloud; not differentiable.
        dist2: (B, M, K) squared distances; differentiable in both point sets.
        Ragged input gives (Q, K) each.

    Raises:
        ValueError: Shapes disagree, `k` is below 1 or above a cloud's points, only one of the
            offsets is given, or (CPU) a coordinate is not finite.
        TypeError: The points are not floating point, or offsets are not int64.
    """
    points, searched = working_points(query=query, support=support)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    chosen = resolve_point_impl(impl, points)
    if (query_offsets is None) != (support_offsets is None):
        missing = "query_offsets" if query_offsets is None else "support_offsets"
        raise ValueError(f"{missing} must be given with the other offsets, got None")
    if query_offsets is not None and support_offsets is not None:
        check_shapes(query=(query, "Q 3"), support=(support, "T 3"))
        longest = len(points)
        found = knn_fwd(points, searched, query_offsets, support_offsets, k, longest, chosen)
        return Neighbors(*found)
    sizes = check_shapes(query=(query, "B M 3"), support=(support, "B N 3"))
    if k > sizes["N"]:
        raise ValueError(f"k must be at most the {sizes['N']} support points, got {k}")
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_finite(query=points, support=searched)
        return knn_reference(points, searched, k)
    idx, dist2 = knn_fwd(
        points.flatten(0, 1),
        searched.flatten(0, 1),
        dense_offsets(sizes["B"], sizes["M"], points.device),
        dense_offsets(sizes["B"], sizes["N"], points.device),
        k,
        sizes["M"],
        chosen,
    )
    shape = (sizes["B"], sizes["M"], k)
    return Neighbors(idx.view(shape), dist2.view(shape))


def knn_reference(query: Tensor, support: Tensor, k: int) -> Neighbors:
    """Search (B, N, 3) for (B, M, 3) by a stable sort of all distances."""
    x, y, z = (query[:, :, None] - support[:, None]).detach().unbind(-1)
    order = ((x * x + y * y) + z * z).sort(dim=-1, stable=True).indices
    idx = order[..., :k].contiguous()
    return Neighbors(idx, neighbor_dist2(query, support, idx))


@torch.library.custom_op("pcmamba::knn_fwd", mutates_args=())
def knn_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    longest: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    """Launch the search in ragged clouds, none with more than `longest` queries."""
    check_point_offsets(
        query_offsets=(query_offsets, query), support_offsets=(support_offsets, support)
    )
    check_finite(query=query, support=support)
    _check_sizes(query_offsets, support_offsets, k)
    if impl == "reference":
        return _ragged_reference(query, support, query_offsets, support_offsets, k)
    if impl == "cpu":
        from pcmamba.kernels import knn_cpu

        return knn_cpu.knn_fwd(query, support, query_offsets, support_offsets, k)
    from pcmamba.kernels import knn_triton

    return knn_triton.knn_fwd(query, support, query_offsets, support_offsets, k, longest)


@knn_fwd.register_fake
def _(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    longest: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    return query.new_empty(len(query), k, dtype=torch.int64), query.new_empty(len(query), k)


knn_fwd.register_autograd(search_backward, setup_context=save_search)


def _check_sizes(query_offsets: Tensor, support_offsets: Tensor, k: int) -> None:
    """Check on the CPU that both sides have the same clouds and each cloud enough points."""
    if len(query_offsets) != len(support_offsets):
        raise ValueError(
            f"support_offsets must be ({len(query_offsets)},) like query_offsets, "
            f"got ({len(support_offsets)},)"
        )
    if query_offsets.device.type != "cpu":
        return
    short = (support_offsets.diff() < k) & (query_offsets.diff() > 0)
    if bool(short.any()):
        cloud = int(short.nonzero()[0])
        count = int(support_offsets.diff()[cloud])
        raise ValueError(f"k must be at most the {count} points of cloud {cloud}, got {k}")


def _ragged_reference(
    query: Tensor, support: Tensor, query_offsets: Tensor, support_offsets: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    parts: list[Any] = []
    bounds = zip(query_offsets.tolist(), support_offsets.tolist(), strict=True)
    (low, first), *rest = bounds
    for high, last in rest:
        if high > low:
            parts.append(knn_reference(query[None, low:high], support[None, first:last], k))
        low, first = high, last
    if not parts:
        return query.new_empty(0, k, dtype=torch.int64), query.new_empty(0, k)
    return torch.cat([p.idx[0] for p in parts]), torch.cat([p.dist2[0] for p in parts])

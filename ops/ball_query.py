"""Support points within a radius of every query point, the first ones in index order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._impl import Impl
from pcmamba.ops._points import check_finite, check_point_offsets, working_points
from pcmamba.ops._sequences import resolve_sequence_impl
from pcmamba.ops.neighbors import (
    Neighbors,
    all_dist2,
    neighbor_dist2,
    ragged_search,
    save_search,
    search_backward,
    search_bounds,
)


def ball_query(
    query: Tensor,
    support: Tensor,
    radius: float,
    k: int,
    *,
    query_offsets: Tensor | None = None,
    support_offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Neighbors:
    """Find up to `k` support points within `radius` of each query point.

    The first `k` in index order, which need not be the nearest. All implementations round the
    distances alike and give the same result on any device.

    Args:
        query: (B, M, 3) centres, metres, or ragged (Q, 3) with both offsets; float16 and bfloat16
            are computed in float32.
        support: (B, N, 3) points to search, metres, or ragged (T, 3).
        radius: Metres; a point at exactly `radius` is outside. Distance and radius are compared
            by their squares, rounded to the precision of the points.
        k: Most neighbours kept per query; may be more than N.
        query_offsets: (B + 1,) int64 bounds of the clouds in `query`, from 0 to Q.
        support_offsets: (B + 1,) int64 bounds of the clouds in `support`, from 0 to T.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back. Only the
            reference holds all distances at once.

    Returns:
        idx: (B, M, K) int64, counted inside the cloud, padded with -1; not differentiable.
            Ragged: (Q, K).
        dist2: (B, M, K) squared metres, float32 (float64 for float64 points), padded with 0;
            differentiable in both point sets.

    Raises:
        ValueError: Shapes disagree, `radius` is not positive and finite, `k < 1`, one offsets
            argument without the other, or (CPU) a coordinate is not finite.
        TypeError: Points are not floating point, or offsets not int64.
        NotImplementedError: dist2 is differentiated twice, other than by "reference".

    Source: Qi et al., PointNet++ (2017), section 3.2.
    """
    points, others = working_points(query=query, support=support)
    chosen = resolve_sequence_impl(impl, points, others)
    bounds = search_bounds(query, support, query_offsets, support_offsets)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be positive and finite, got {radius}")
    if chosen != "reference":
        flat = (points.reshape(-1, 3), others.reshape(-1, 3))
        dist2, idx = ball_query_fwd(*flat, *bounds, radius, k, chosen)
        shape = (*query.shape[:-1], k)
        return Neighbors(idx.view(shape), dist2.view(shape))
    if not torch.compiler.is_compiling():
        check_finite(query=points, support=others)
    if query_offsets is None:
        return ball_query_reference(points, others, radius, k)
    return ragged_search(points, others, *bounds, k, partial(_search, radius))


def ball_query_reference(query: Tensor, support: Tensor, radius: float, k: int) -> Neighbors:
    """Compute the dense `ball_query` by comparing all B x M x N distances."""
    num_points = support.shape[1]
    with torch.no_grad():
        limit = torch.tensor(radius, dtype=query.dtype, device=query.device).square()
        rows = torch.arange(num_points, device=query.device)
        listed = torch.where(all_dist2(query, support) < limit, rows, num_points)
        idx = listed.sort(dim=-1).values[..., :k]
        idx = torch.where(idx < num_points, idx, -1)
        idx = torch.nn.functional.pad(idx, (0, k - idx.shape[-1]), value=-1)
    return Neighbors(idx, neighbor_dist2(query, support, idx))


def _search(radius: float, query: Tensor, support: Tensor, k: int) -> Neighbors:
    return ball_query_reference(query, support, radius, k)


@torch.library.custom_op("pcmamba::ball_query_fwd", mutates_args=())
def ball_query_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    radius: float,
    k: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    """Launch the search for ragged points (Q, 3) among (T, 3); distances first, then indices."""
    check_point_offsets(
        query_offsets=(query_offsets, query), support_offsets=(support_offsets, support)
    )
    check_finite(query=query, support=support)
    idx, dist2 = _launchers(impl).ball_query_fwd(
        query, support, query_offsets, support_offsets, radius, k
    )
    return dist2, idx


@ball_query_fwd.register_fake
def _(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    radius: float,
    k: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    return query.new_empty(len(query), k), query_offsets.new_empty(len(query), k)


ball_query_fwd.register_autograd(search_backward, setup_context=save_search)


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import ball_query_cpu

        return ball_query_cpu
    from pcmamba.kernels import ball_query_triton

    return ball_query_triton

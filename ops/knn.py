"""The k nearest support points of every query point, by squared distance, then by index."""

from __future__ import annotations

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

IMPLS = ("cpu", "triton", "nvrtc")
WARP_NEIGHBORS = 32


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

    Sorted by squared distance, equal ones by index; a query that is itself a support point is
    its own first neighbour. All implementations round the distances alike and give the same
    result on any device.

    Args:
        query: (B, M, 3), or ragged (Q, 3) with both offsets; float16 and bfloat16 are computed
            in float32.
        support: (B, N, 3) points to search, or ragged (T, 3).
        k: Neighbours of each query.
        query_offsets: (B + 1,) int64 bounds of the clouds in `query`, from 0 to Q.
        support_offsets: (B + 1,) int64 bounds of the clouds in `support`, from 0 to T.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.
            "cpu" compares all pairs, and asks a k-d tree in clouds of more than 16384 points;
            "nvrtc" takes k <= 32, and searches a tree where the clouds have more than 4096 points
            on average; only the reference holds all distances at once. "auto" takes "nvrtc" on a
            GPU where it is installed and takes the k.

    Returns:
        idx: (B, M, K) int64, counted inside the cloud; not differentiable. Ragged: (Q, K), padded
            with -1 where a cloud has fewer than `k` points.
        dist2: (B, M, K) float32 (float64 for float64 points), squared unit of the coordinates,
            padded with 0; differentiable in both point sets.

    Raises:
        ValueError: Shapes disagree, `k < 1` or (dense) `k > N`, `k > 32` for "nvrtc", one offsets
            argument without the other, or (CPU) a coordinate is not finite.
        TypeError: Points are not floating point, or offsets not int64.
        NotImplementedError: dist2 is differentiated twice, other than by "reference".
    """
    points, others = working_points(query=query, support=support)
    fits = 1 <= k <= WARP_NEIGHBORS
    chosen = resolve_sequence_impl(impl, points, others, available=IMPLS, prefer_nvrtc=fits)
    bounds = search_bounds(query, support, query_offsets, support_offsets)
    _check_k(k, support, ragged=query_offsets is not None)
    if chosen == "nvrtc" and not fits:
        raise ValueError(
            f"k must be at most {WARP_NEIGHBORS} for impl='nvrtc', got {k}; ask for impl='triton'"
        )
    if chosen != "reference":
        dist2, idx = knn_fwd(points.reshape(-1, 3), others.reshape(-1, 3), *bounds, k, chosen)
        shape = (*query.shape[:-1], k)
        return Neighbors(idx.view(shape), dist2.view(shape))
    if not torch.compiler.is_compiling():
        check_finite(query=points, support=others)
    if query_offsets is None:
        return knn_reference(points, others, k)
    return ragged_search(points, others, *bounds, k, _nearest_or_all)


def knn_reference(query: Tensor, support: Tensor, k: int) -> Neighbors:
    """Compute the dense `knn` by sorting all B x M x N distances."""
    with torch.no_grad():
        idx = all_dist2(query, support).sort(dim=-1, stable=True).indices[..., :k]
    return Neighbors(idx, neighbor_dist2(query, support, idx))


def _nearest_or_all(query: Tensor, support: Tensor, k: int) -> Neighbors:
    return knn_reference(query, support, min(k, support.shape[1]))


def _check_k(k: int, support: Tensor, *, ragged: bool) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not ragged and k > support.shape[1]:
        raise ValueError(f"k must be at most the {support.shape[1]} points of support, got {k}")


@torch.library.custom_op("pcmamba::knn_fwd", mutates_args=())
def knn_fwd(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    """Launch the search for ragged points (Q, 3) among (T, 3); distances first, then indices."""
    check_point_offsets(
        query_offsets=(query_offsets, query), support_offsets=(support_offsets, support)
    )
    check_finite(query=query, support=support)
    idx, dist2 = _launchers(impl).knn_fwd(query, support, query_offsets, support_offsets, k)
    return dist2, idx


@knn_fwd.register_fake
def _(
    query: Tensor,
    support: Tensor,
    query_offsets: Tensor,
    support_offsets: Tensor,
    k: int,
    impl: str,
) -> tuple[Tensor, Tensor]:
    return query.new_empty(len(query), k), query_offsets.new_empty(len(query), k)


knn_fwd.register_autograd(search_backward, setup_context=save_search)


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import knn_cpu

        return knn_cpu
    if impl == "nvrtc":
        from pcmamba.kernels import knn_nvrtc

        return knn_nvrtc
    from pcmamba.kernels import knn_triton

    return knn_triton

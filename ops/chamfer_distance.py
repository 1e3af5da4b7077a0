"""Chamfer distance of two sets of points.

c(a, b) = mean over i of min over j of |a_i - b_j|^2 + mean over j of min over i of |a_i - b_j|^2
"""

from __future__ import annotations

from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops.knn import knn


def chamfer_distance(a: Tensor, b: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Compute the squared Chamfer distance (L2) of each pair of point sets.

    The nearest points are searched without storing the (N, M) distances, and gradients are added
    in a fixed order. Of equally near points the one with the lowest index gets the gradient.

    Args:
        a: (B, N, 3) points, N >= 1; differentiable.
        b: (B, M, 3) points, M >= 1; differentiable.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (B,) squared units of the points.

    Raises:
        ValueError: Shapes disagree or a set is empty.

    Source: Fan et al., A Point Set Generation Network (2017), section 3.2.
    """
    check_shapes(a=(a, "B N 3"), b=(b, "B M 3"))
    if a.shape[1] < 1 or b.shape[1] < 1:
        raise ValueError(f"a and b must have points, got {a.shape[1]} and {b.shape[1]} a set")
    if impl == "reference":
        return chamfer_distance_reference(a, b)
    there, back = (knn(query, support, 1, impl=impl).dist2 for query, support in ((a, b), (b, a)))
    return there.mean(dim=(1, 2)) + back.mean(dim=(1, 2))


def chamfer_distance_reference(a: Tensor, b: Tensor) -> Tensor:
    """Compute `chamfer_distance` from all (B, N, M) distances, in any dtype."""
    apart = (a[:, :, None] - b[:, None]).square().sum(-1)
    nearest = (apart.detach().argmin(dim=dim, keepdim=True) for dim in (2, 1))
    there, back = (apart.gather(dim, idx) for dim, idx in zip((2, 1), nearest, strict=True))
    return there.flatten(1).mean(1) + back.flatten(1).mean(1)

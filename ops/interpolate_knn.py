"""Features carried from support points to query points by inverse squared distance.

out[m] = sum_k w[m, k] feat[idx[m, k]] / sum_k w[m, k],  w[m, k] = 1 / (dist2[m, k] + eps).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops.group import group
from pcmamba.ops.neighbors import Neighbors


def interpolate_knn(
    feat: Tensor, neighbors: Neighbors, *, eps: float = 1e-8, impl: Impl = "auto"
) -> Tensor:
    """Average the features of each query's neighbours by inverse squared distance.

    Args:
        feat: (B, N, C) features of the support points; differentiable.
        neighbors: idx (B, M, K) and dist2 (B, M, K) from `knn` or `ball_query`; dist2 is
            differentiable. Padding (-1) has weight 0; a query with padding alone gets zeros.
        eps: Added to the squared distances, in their unit.
        impl: As in `group`, which gathers the rows. A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `feat`; the sum runs in at least float32.

    Raises:
        ValueError: Shapes disagree, `eps` is not positive, or (CPU) an index is out of range.
        TypeError: `idx` is not int64 or `dist2` not floating.

    Source: Qi et al., PointNet++ (2017), section 3.4.
    """
    idx, dist2 = neighbors
    check_shapes(feat=(feat, "B N C"), idx=(idx, "B M K"), dist2=(dist2, "B M K"))
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    if not dist2.dtype.is_floating_point:
        raise TypeError(f"dist2 must be floating, got {dist2.dtype}; take it from knn")
    exact = torch.promote_types(torch.promote_types(feat.dtype, dist2.dtype), torch.float32)
    weights = (1 / (dist2.to(exact) + eps)).masked_fill(idx < 0, 0)
    total = weights.sum(dim=2, keepdim=True)
    weights = weights / total.masked_fill(total == 0, 1)
    rows = group(feat, idx, impl=impl).to(exact)
    return (rows * weights[..., None]).sum(dim=2).to(feat.dtype)

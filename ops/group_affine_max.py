"""PointMLP's geometric affine map of the neighbours, and the maximum over them.

out[b, m] = max_k alpha (feat[b, idx[b, m, k]] - anchor[b, m]) / (sigma[b] + eps) + beta. Each
channel's map rises or falls with the sign of alpha, so the maximum, or the minimum, comes first and
the map is taken of (B, M, C) values alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import gather_rows
from pcmamba.ops._impl import Impl
from pcmamba.ops.group_max import group_max


def group_affine_max(
    feat: Tensor,
    idx: Tensor,
    anchor: Tensor,
    sigma: Tensor,
    alpha: Tensor,
    beta: Tensor,
    *,
    eps: float = 1e-5,
    impl: Impl = "auto",
) -> Tensor:
    """Normalise the neighbours of each query around its anchor and pool them by their maximum.

    Args:
        feat: (B, N, C) features of the support points; differentiable.
        idx: (B, M, K) int64 rows of `feat`; -1 is padding and never wins.
        anchor: (B, M, C) row subtracted from the neighbours, of the dtype of `feat`;
            differentiable.
        sigma: (B,) deviation of each cloud, from `group_std`; differentiable.
        alpha: (C,) scale; differentiable. Where it is 0 the neighbour with the largest feature
            counts as the winner.
        beta: (C,) shift; differentiable.
        eps: Added to sigma, in its unit; greater than 0.
        impl: As in `group_max`. A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `feat`, the map in at least float32; zeros where all of `idx` is
        padding.

    Raises:
        ValueError: Shapes disagree, `eps` is not positive, or as in `group_max`.
        TypeError: As in `group_max`, or `anchor` has another dtype than `feat`.

    Source: Ma et al., PointMLP (2022), section 3.2.
    """
    check_shapes(
        feat=(feat, "B N C"), idx=(idx, "B M K"), anchor=(anchor, "B M C"),
        sigma=(sigma, "B"), alpha=(alpha, "C"), beta=(beta, "C"),
    )  # fmt: skip
    if anchor.dtype != feat.dtype:
        raise TypeError(
            f"anchor must have the dtype of feat, {feat.dtype}, got {anchor.dtype}; "
            "under autocast cast one of them with .to()"
        )
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    sign = torch.where(alpha.detach() < 0, -1, 1).to(feat.dtype)
    extreme = group_max(feat * sign, idx, impl=impl) * sign
    exact = torch.promote_types(feat.dtype, torch.float32)
    difference = extreme.to(exact) - anchor.to(exact)
    scale = alpha.to(exact) / (sigma.to(exact) + eps)[:, None, None]
    pooled = difference * scale + beta.to(exact)
    return pooled.masked_fill((idx < 0).all(dim=2)[..., None], 0).to(feat.dtype)


def group_affine_max_reference(
    feat: Tensor,
    idx: Tensor,
    anchor: Tensor,
    sigma: Tensor,
    alpha: Tensor,
    beta: Tensor,
    eps: float = 1e-5,
) -> Tensor:
    """Compute `group_affine_max` from the stored rows, mapped one by one."""
    difference = gather_rows(feat, idx) - anchor[:, :, None]
    mapped = alpha * difference / (sigma[:, None, None, None] + eps) + beta
    padding = (idx < 0)[..., None]
    pooled = mapped.masked_fill(padding, -torch.inf).max(dim=2).values
    return pooled.masked_fill(padding.all(dim=2), 0)

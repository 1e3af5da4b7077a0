"""Geometry-feature coupled pooling of the neighbours of every token.

n_k = (f_k - f_i) / (sigma + 1e-5)                K-norm; i the token, k its neighbours
v_k = w_k (alpha [n_k ; f_i] + beta)              w_k from the distance of the centres
out = sum over k of softmax_k(v_k) v_k            K-pool, for each channel by itself
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops.group_softmax import group_softmax
from pcmamba.ops.group_std import group_std, group_std_reference
from pcmamba.registry import unknown_name

DistanceWeight = Literal["exp", "relative", "none"]
SIGMA_EPS = 1e-5


def gfcp(
    feat: Tensor,
    centres: Tensor,
    idx: Tensor,
    alpha: Tensor,
    beta: Tensor,
    *,
    weight: DistanceWeight = "exp",
    per_sample: bool = True,
    impl: Impl = "auto",
) -> Tensor:
    """Pool what each token's neighbours differ by, the near ones more than the far ones.

    The softmax never overflows. With `weight="none"` this is the K-norm and K-pool of Mamba3D.
    Differentiable in all floating-point arguments; a distance of 0 sends no gradient.

    Args:
        feat: (B, G, C) features of the tokens.
        centres: (B, G, 3) their places, in the units of the normalised cloud.
        idx: (B, G, K) int64 neighbours of each token, itself among them, without padding.
        alpha: (2C,) scale of [difference ; own feature].
        beta: (2C,) shift.
        weight: "exp" takes exp(-d), "relative" exp(-d / mean d of the other neighbours), which
            no scale of the cloud changes, "none" takes 1.
        per_sample: One sigma for each cloud; False takes one for the whole batch, as released.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, G, 2C) in the dtype of `feat`.

    Raises:
        ValueError: Shapes disagree, `weight` is unknown, or (CPU) an index is outside [0, G - 1].
        TypeError: `idx` is not int64.

    Source: HyMamba (2025), geometry-feature coupled pooling; Han et al., Mamba3D (2024),
    section 3.3.
    """
    sizes = check_shapes(feat=(feat, "B G C"), centres=(centres, "B G 3"), idx=(idx, "B G K"))
    width = 2 * sizes["C"]
    check_shapes(alpha=(alpha, f"{width}"), beta=(beta, f"{width}"))
    check_index_type(idx)
    if weight not in get_args(DistanceWeight):
        raise ValueError(unknown_name("weight", weight, get_args(DistanceWeight)))
    chosen: Any = resolve_impl(impl, feat, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_index_range(idx, feat.shape[1], padding=False)
        return gfcp_reference(feat, centres, idx, alpha, beta, weight, per_sample)
    near = None if weight == "none" else distance_weight(centres, idx, weight).float()
    deviation = _batch_or_cloud(feat, idx, per_sample, chosen)
    # The norm is linear in the neighbour: scale the tokens once and gather them afterwards.
    first, second = alpha.tensor_split(2)
    shift, own_shift = beta.float().tensor_split(2)
    scaled = feat.float() * (first / (deviation[:, None, None] + SIGMA_EPS))
    pooled = group_softmax(scaled, idx, centre=shift - scaled, weight=near, impl=chosen)
    own = feat.float() * second + own_shift
    if near is not None:
        # A token's own half differs between neighbours by the weight alone.
        itself = torch.arange(idx.shape[1], device=idx.device)[None, :, None].expand_as(idx)
        own = group_softmax(own, itself, weight=near, impl=chosen)
    return torch.cat([pooled, own], dim=-1).to(feat.dtype)


def gfcp_reference(
    feat: Tensor,
    centres: Tensor,
    idx: Tensor,
    alpha: Tensor,
    beta: Tensor,
    weight: DistanceWeight = "exp",
    per_sample: bool = True,
) -> Tensor:
    """Compute `gfcp` from the stored (B, G, K, 2C) values, in any dtype."""
    neighbours = gather_rows(feat, idx)
    own = feat[:, :, None].expand_as(neighbours)
    if per_sample:
        sigma = group_std_reference(feat, idx, feat)[:, None, None, None]
    else:
        sigma = (neighbours - own).std()
    values = torch.cat([(neighbours - own) / (sigma + SIGMA_EPS), own], dim=-1) * alpha + beta
    near = None if weight == "none" else distance_weight(centres, idx, weight)
    return _pool(values, near)


def distance_weight(centres: Tensor, idx: Tensor, weight: DistanceWeight) -> Tensor:
    """Return the weights (B, G, K) of neighbours by their distance from the token."""
    offset = gather_rows(centres, idx) - centres[:, :, None]
    apart = offset.square().sum(-1)
    # The square root has no slope at 0, where a token meets itself.
    distance = torch.where(apart > 0, apart, 1.0).sqrt() * (apart > 0)
    if weight == "exp":
        return torch.exp(-distance)
    others = (apart > 0).sum(-1, keepdim=True).clamp(min=1)
    mean = distance.sum(-1, keepdim=True) / others
    return torch.exp(-distance / torch.where(mean > 0, mean, 1.0))


def _batch_or_cloud(feat: Tensor, idx: Tensor, per_sample: bool, impl: Impl) -> Tensor:
    if per_sample:
        return group_std(feat, idx, feat, impl=impl)
    clouds, tokens, channels = feat.shape
    rows = idx + tokens * torch.arange(clouds, device=idx.device)[:, None, None]
    whole = feat.reshape(1, -1, channels)
    return group_std(whole, rows.view(1, clouds * tokens, -1), whole, impl=impl).expand(clouds)


def _pool(values: Tensor, near: Tensor | None) -> Tensor:
    if near is not None:
        values = values * near[..., None]
    return (values.softmax(dim=2) * values).sum(dim=2)

"""One standard deviation for each cloud, of all differences between neighbours and anchors.

sigma[b] = sqrt(sum (d - mean d)^2 / (n - 1)), d = feat[b, idx[b, m, k], c] - anchor[b, m, c],
n = M K C; the (B, M, K, C) differences are never stored.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward


def group_std(feat: Tensor, idx: Tensor, anchor: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Compute the unbiased standard deviation of feat[idx] - anchor of each cloud.

    Sums run in a fixed order: the result depends on neither the number of threads nor the other
    clouds of the batch. Where all differences are equal the result and its gradient are 0.

    Args:
        feat: (B, N, C) features of the support points; differentiable.
        idx: (B, M, K) int64 rows of `feat`, without padding. On a GPU the range is not checked,
            since the host would have to wait: an index out of range gives a meaningless value.
        anchor: (B, M, C) row subtracted from the neighbours of each query, of the dtype of
            `feat`; differentiable.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B,) float32, or float64 for float64 inputs.

    Raises:
        ValueError: Shapes disagree, a cloud has no point or fewer than two differences, or (CPU)
            an index is outside [0, N - 1].
        TypeError: `idx` is not int64, or the dtypes are unlike or not floating.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Ma et al., PointMLP (2022), section 3.2.
    """
    check_shapes(feat=(feat, "B N C"), idx=(idx, "B M K"), anchor=(anchor, "B M C"))
    check_index_type(idx)
    if anchor.dtype != feat.dtype or not feat.dtype.is_floating_point:
        raise TypeError(
            f"anchor must have the floating dtype of feat, {feat.dtype}, got {anchor.dtype}; "
            "under autocast cast one of them with .to()"
        )
    _check_sizes(feat.shape[1], idx.shape[1], idx.shape[2], feat.shape[2])
    chosen = resolve_impl(impl, feat, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_index_range(idx, feat.shape[1], padding=False)
        return group_std_reference(feat, idx, anchor)
    if feat.dtype == torch.float64:
        raise TypeError(
            f"feat must be float16, bfloat16 or float32 for impl={chosen!r}, got {feat.dtype}; "
            "impl='reference' takes it"
        )
    sigma, _ = group_std_fwd(feat, idx, anchor, chosen)
    return sigma


def _check_sizes(num_points: int, queries: int, k: int, channels: int) -> None:
    if num_points < 1 or queries * k * channels < 2:
        raise ValueError(
            "feat and idx must give a point and at least two differences a cloud, "
            f"got N, M, K, C = {num_points}, {queries}, {k}, {channels}"
        )


def group_std_reference(feat: Tensor, idx: Tensor, anchor: Tensor) -> Tensor:
    """Compute `group_std` by torch.std of the stored differences."""
    exact = torch.float64 if feat.dtype == torch.float64 else torch.float32
    differences = gather_rows(feat.to(exact), idx) - anchor.to(exact)[:, :, None]
    return differences.flatten(1).std(dim=1)


@torch.library.custom_op("pcmamba::group_std_fwd", mutates_args=())
def group_std_fwd(feat: Tensor, idx: Tensor, anchor: Tensor, impl: str) -> tuple[Tensor, Tensor]:
    """Launch the forward pass of `group_std`; returns the deviation and the mean, float32."""
    check_index_range(idx, feat.shape[1], padding=False)
    return _launchers(impl).group_std_fwd(feat, idx, anchor)


@torch.library.custom_op("pcmamba::group_std_bwd", mutates_args=())
def group_std_bwd(
    grad: Tensor, feat: Tensor, idx: Tensor, anchor: Tensor, sigma: Tensor, mean: Tensor, impl: str
) -> tuple[Tensor, Tensor]:
    """Launch the backward pass of `group_std`."""
    count = idx.shape[1] * idx.shape[2] * feat.shape[2]
    scale = torch.where(sigma == 0, 0.0, grad / (sigma * (count - 1)))
    return _launchers(impl).group_std_bwd(feat, idx, anchor, mean, scale)


@group_std_fwd.register_fake
def _(feat: Tensor, idx: Tensor, anchor: Tensor, impl: str) -> tuple[Tensor, Tensor]:
    return (
        feat.new_empty(feat.shape[0], dtype=torch.float32),
        feat.new_empty(feat.shape[0], dtype=torch.float32),
    )


@group_std_bwd.register_fake
def _(
    grad: Tensor, feat: Tensor, idx: Tensor, anchor: Tensor, sigma: Tensor, mean: Tensor, impl: str
) -> tuple[Tensor, Tensor]:
    return feat.new_empty(feat.shape), anchor.new_empty(anchor.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    feat, idx, anchor, ctx.impl = inputs
    sigma, mean = output
    ctx.mark_non_differentiable(mean)
    ctx.save_for_backward(feat, idx, anchor, sigma, mean)


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    dfeat, danchor = group_std_bwd(grad, *ctx.saved_tensors, ctx.impl)
    return dfeat, None, danchor, None


group_std_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(group_std_bwd, "group_std")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import group_std_cpu

        return group_std_cpu
    from pcmamba.kernels import group_std_triton

    return group_std_triton

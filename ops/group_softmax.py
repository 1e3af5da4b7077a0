"""Neighbours' values weighted by their own softmax: out = sum_k a_k v_k, a = softmax_k(v).

v_k = weight[b, m, k] (feat[b, idx[b, m, k]] + centre[b, m]), channel by channel. The (B, M, K, C)
values and shares are never stored: the forward pass keeps the logarithm of the sum of exponentials,
and the shares follow from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward


def group_softmax(
    feat: Tensor,
    idx: Tensor,
    *,
    centre: Tensor | None = None,
    weight: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Pool the neighbours of each query by the softmax of their values over the neighbours.

    The largest value is subtracted first, so that no exponential overflows. Sums run in a fixed
    order in float32, without atomics: two runs give the same bits.

    Args:
        feat: (B, N, C) features of the support points, finite; differentiable.
        idx: (B, M, K) int64 rows of `feat`; -1 is padding and has no share. On a GPU the range is
            not checked, since the host would have to wait: an index out of range reads as padding.
        centre: (B, M, C) row added to the neighbours of each query, of the dtype of `feat`;
            differentiable. None adds nothing.
        weight: (B, M, K) float32, or float64 beside float64 features: factor of a neighbour's
            value, and so of its logit too; differentiable. None takes 1.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `feat`; zeros where all of `idx` is padding.

    Raises:
        ValueError: Shapes disagree, or (CPU) an index is outside [-1, N - 1].
        TypeError: `idx` is not int64, the dtypes of `feat` and `centre` differ, `weight` is half
            precision, or `feat` is not float16, bfloat16 or float32 for a kernel.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Zha et al., Mamba3D (2024), section 3.3, local feature pooling.
    """
    check_shapes(
        feat=(feat, "B N C"),
        idx=(idx, "B M K"),
        centre=(centre, "B M C"),
        weight=(weight, "B M K"),
    )
    check_index_type(idx)
    _check_dtypes(feat, centre, weight)
    chosen = resolve_impl(impl, feat, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_index_range(idx, feat.shape[1], padding=True)
        return group_softmax_reference(feat, idx, centre, weight)
    if feat.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(
            f"feat must be float16, bfloat16 or float32 for impl={chosen!r}, got {feat.dtype}; "
            "impl='reference' takes it"
        )
    return group_softmax_fwd(feat, idx, centre, weight, chosen)[0]


def group_softmax_reference(
    feat: Tensor, idx: Tensor, centre: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Compute `group_softmax` from the stored rows, in any floating dtype."""
    values = gather_rows(feat, idx)
    if centre is not None:
        values = values + centre[:, :, None]
    if weight is not None:
        values = values * weight[..., None]
    padding = (idx < 0)[..., None]
    # A finite floor: a query with padding alone would otherwise have shares of NaN.
    shares = values.masked_fill(padding, torch.finfo(values.dtype).min).softmax(dim=2)
    return (shares.masked_fill(padding, 0) * values).sum(dim=2).to(feat.dtype)


def _check_dtypes(feat: Tensor, centre: Tensor | None, weight: Tensor | None) -> None:
    if centre is not None and centre.dtype != feat.dtype:
        raise TypeError(
            f"centre must have the dtype of feat, {feat.dtype}, got {centre.dtype}; "
            "under autocast cast one of them with .to()"
        )
    wanted = torch.float64 if feat.dtype == torch.float64 else torch.float32
    if weight is not None and weight.dtype != wanted:
        raise TypeError(f"weight must be {wanted} beside {feat.dtype}, got {weight.dtype}")


@torch.library.custom_op("pcmamba::group_softmax_fwd", mutates_args=())
def group_softmax_fwd(
    feat: Tensor, idx: Tensor, centre: Tensor | None, weight: Tensor | None, impl: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the forward pass of `group_softmax`.

    Returns:
        out: (B, M, C) in the dtype of `feat`.
        mean: (B, M, C) float32, the same before rounding.
        log_sum: (B, M, C) float32 log of the sum of exponentials; 0 where all is padding.
    """
    check_index_range(idx, feat.shape[1], padding=True)
    mean, log_sum = _launchers(impl).group_softmax_fwd(feat, idx, centre, weight)
    return mean.to(feat.dtype, copy=True), mean, log_sum


@torch.library.custom_op("pcmamba::group_softmax_bwd", mutates_args=())
def group_softmax_bwd(
    grad: Tensor,
    feat: Tensor,
    idx: Tensor,
    centre: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    log_sum: Tensor,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the backward pass: gradients of `feat`, `centre` and `weight`, empty for None."""
    return _launchers(impl).group_softmax_bwd(grad, feat, idx, centre, weight, mean, log_sum)


@group_softmax_fwd.register_fake
def _(
    feat: Tensor, idx: Tensor, centre: Tensor | None, weight: Tensor | None, impl: str
) -> tuple[Tensor, Tensor, Tensor]:
    out = feat.new_empty(*idx.shape[:2], feat.shape[2])
    wide = feat.new_empty(out.shape, dtype=torch.float32)
    return out, wide, torch.empty_like(wide)


@group_softmax_bwd.register_fake
def _(
    grad: Tensor,
    feat: Tensor,
    idx: Tensor,
    centre: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    log_sum: Tensor,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    dcentre = feat.new_empty((0,) if centre is None else centre.shape)
    dweight = mean.new_empty((0,) if weight is None else weight.shape)
    return feat.new_empty(feat.shape), dcentre, dweight


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.impl = inputs
    _, mean, log_sum = output
    ctx.mark_non_differentiable(mean, log_sum)
    ctx.save_for_backward(*tensors, mean, log_sum)


def _backward(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    feat, idx, centre, weight, mean, log_sum = ctx.saved_tensors
    dfeat, dcentre, dweight = group_softmax_bwd(
        grad, feat, idx, centre, weight, mean, log_sum, ctx.impl
    )
    return (
        dfeat,
        None,
        None if centre is None else dcentre,
        None if weight is None else dweight,
        None,
    )


group_softmax_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(group_softmax_bwd, "group_softmax")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import group_softmax_cpu

        return group_softmax_cpu
    from pcmamba.kernels import group_softmax_triton

    return group_softmax_triton

"""Neighbour rows of every query point: out[b, m, k] = feat[b, idx[b, m, k]] + centre[b, m].

With the centre added on the way, a linear map of (neighbour, centre) pairs is two small products
over points and one pass over pairs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward


def group(
    feat: Tensor,
    idx: Tensor,
    *,
    centre: Tensor | None = None,
    dtype: torch.dtype | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Gather the neighbours of each query and add the query's own row to them.

    Gradients are added in a fixed order in float32, without atomics: two runs give the same bits.

    Args:
        feat: (B, N, C) features of the support points; differentiable.
        idx: (B, M, K) int64 rows of `feat`; -1 is padding. On a GPU the range is not checked,
            since the host would have to wait: an index out of range reads as padding there.
        centre: (B, M, C) row added to the neighbours of each query, of the dtype of `feat`;
            differentiable. None adds nothing.
        dtype: Of the result, None for that of `feat`. Sums of large numbers that nearly cancel
            keep their digits if they are rounded to half precision only now.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, K, C) in `dtype`; zeros, without the centre, where `idx` is -1.

    Raises:
        ValueError: Shapes disagree, or (CPU) an index is outside [-1, N - 1].
        TypeError: `idx` is not int64, or the dtypes of `feat` and `centre` differ.
        NotImplementedError: The result is differentiated twice, other than by "reference".
    """
    check_shapes(feat=(feat, "B N C"), idx=(idx, "B M K"), centre=(centre, "B M C"))
    check_index_type(idx)
    if centre is not None and centre.dtype != feat.dtype:
        raise TypeError(
            f"centre must have the dtype of feat, {feat.dtype}, got {centre.dtype}; "
            "under autocast cast one of them with .to()"
        )
    chosen = resolve_impl(impl, feat, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_index_range(idx, feat.shape[1], padding=True)
        return group_reference(feat, idx, centre=centre).to(dtype or feat.dtype)
    _check_dtype("feat", feat.dtype, chosen)
    _check_dtype("dtype", dtype or feat.dtype, chosen)
    return group_fwd(feat, idx, centre, dtype or feat.dtype, chosen)


def group_reference(feat: Tensor, idx: Tensor, *, centre: Tensor | None = None) -> Tensor:
    """Compute `group` by torch.gather, in any dtype."""
    rows = gather_rows(feat, idx)
    if centre is None:
        return rows
    return (rows + centre[:, :, None]).masked_fill((idx < 0)[..., None], 0)


def _check_dtype(name: str, dtype: torch.dtype, impl: str) -> None:
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(
            f"{name} must be float16, bfloat16 or float32 for impl={impl!r}, got {dtype}; "
            "impl='reference' takes it"
        )


@torch.library.custom_op("pcmamba::group_fwd", mutates_args=())
def group_fwd(
    feat: Tensor, idx: Tensor, centre: Tensor | None, dtype: torch.dtype, impl: str
) -> Tensor:
    """Launch the forward pass of `group`, with a result of `dtype`."""
    check_index_range(idx, feat.shape[1], padding=True)
    return _launchers(impl).group_fwd(feat, idx, centre, dtype)


@torch.library.custom_op("pcmamba::group_bwd", mutates_args=())
def group_bwd(
    grad: Tensor, idx: Tensor, num_points: int, has_centre: bool, dtype: torch.dtype, impl: str
) -> tuple[Tensor, Tensor]:
    """Launch the backward pass: gradients of `dtype`, the second one empty without a centre."""
    return _launchers(impl).group_bwd(grad, idx, num_points, has_centre, dtype)


@group_fwd.register_fake
def _(feat: Tensor, idx: Tensor, centre: Tensor | None, dtype: torch.dtype, impl: str) -> Tensor:
    return feat.new_empty(*idx.shape, feat.shape[2], dtype=dtype)


@group_bwd.register_fake
def _(
    grad: Tensor, idx: Tensor, num_points: int, has_centre: bool, dtype: torch.dtype, impl: str
) -> tuple[Tensor, Tensor]:
    clouds, queries, _, channels = grad.shape
    dcentre = grad.new_empty((clouds, queries, channels) if has_centre else (0,), dtype=dtype)
    return grad.new_empty(clouds, num_points, channels, dtype=dtype), dcentre


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    feat, idx, centre, _, impl = inputs
    ctx.save_for_backward(idx)
    ctx.rest = (feat.shape[1], centre is not None, feat.dtype, impl)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (idx,) = ctx.saved_tensors
    dfeat, dcentre = group_bwd(grad, idx, *ctx.rest)
    return dfeat, None, dcentre if ctx.rest[1] else None, None, None


group_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(group_bwd, "group")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import group_cpu

        return group_cpu
    from pcmamba.kernels import group_triton

    return group_triton

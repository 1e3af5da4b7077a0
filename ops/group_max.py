"""Largest of the neighbours' rows: out[b, m] = max_k feat[b, idx[b, m, k]] + centre[b, m].

The (B, M, K, C) rows are never stored: the forward pass keeps which neighbour won, a byte a value.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward

MOST_NEIGHBORS = 255  # a byte names the winner or none


def group_max(
    feat: Tensor,
    idx: Tensor,
    *,
    centre: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Pool the neighbours of each query by their maximum and add the query's own row.

    The gradient goes to the first of equal neighbours. Sums run in a fixed order in float32,
    without atomics: two runs give the same bits.

    Args:
        feat: (B, N, C) features of the support points; differentiable. NaN wins.
        idx: (B, M, K) int64 rows of `feat`; -1 is padding and never wins. On a GPU the range is
            not checked, since the host would have to wait: an index out of range reads as padding.
        centre: (B, M, C) row added to the maximum, of the dtype of `feat`; differentiable. None
            adds nothing.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `feat`; zeros, without the centre, where all of `idx` is padding.

    Raises:
        ValueError: Shapes disagree, K is above 255 other than for "reference", or (CPU) an index
            is outside [-1, N - 1].
        TypeError: `idx` is not int64, or the dtypes of `feat` and `centre` differ.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Qi et al., PointNet++ (2017), section 3.2.
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
        return group_max_reference(feat, idx, centre=centre)
    _check_kernel(feat, idx, chosen)
    out, _ = group_max_fwd(feat, idx, centre, chosen)
    return out


def group_max_reference(feat: Tensor, idx: Tensor, *, centre: Tensor | None = None) -> Tensor:
    """Compute `group_max` from the stored rows, in any floating dtype."""
    if idx.shape[2] == 0:
        return feat.new_zeros(*idx.shape[:2], feat.shape[2]) + 0 * feat.sum()
    rows = gather_rows(feat, idx)
    lowest = rows.masked_fill((idx < 0)[..., None], -torch.inf)
    top = lowest.detach().amax(dim=2, keepdim=True)
    # A bare argmax need not name the first of equal rows; of a mask's ones it does.
    wins = ((lowest == top) | lowest.isnan()) & (idx >= 0)[..., None]
    pooled = rows.gather(2, wins.byte().argmax(dim=2, keepdim=True))[:, :, 0]
    if centre is not None:
        pooled = pooled + centre
    return pooled.masked_fill((idx < 0).all(dim=2)[..., None], 0)


def _check_kernel(feat: Tensor, idx: Tensor, impl: str) -> None:
    if feat.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(
            f"feat must be float16, bfloat16 or float32 for impl={impl!r}, got {feat.dtype}; "
            "impl='reference' takes it"
        )
    if idx.shape[2] > MOST_NEIGHBORS:
        raise ValueError(
            f"idx must have at most {MOST_NEIGHBORS} neighbours for impl={impl!r}, "
            f"got K = {idx.shape[2]}; impl='reference' takes them"
        )


@torch.library.custom_op("pcmamba::group_max_fwd", mutates_args=())
def group_max_fwd(
    feat: Tensor, idx: Tensor, centre: Tensor | None, impl: str
) -> tuple[Tensor, Tensor]:
    """Launch the forward pass of `group_max`; returns the result and the winners, 255 for none."""
    check_index_range(idx, feat.shape[1], padding=True)
    return _launchers(impl).group_max_fwd(feat, idx, centre)


@torch.library.custom_op("pcmamba::group_max_bwd", mutates_args=())
def group_max_bwd(
    grad: Tensor, idx: Tensor, winner: Tensor, num_points: int, has_centre: bool, impl: str
) -> tuple[Tensor, Tensor]:
    """Launch the backward pass of `group_max`; the second gradient is empty without a centre."""
    dfeat = _launchers(impl).group_max_bwd(grad, idx, winner, num_points)
    dcentre = torch.where(winner == MOST_NEIGHBORS, 0, grad) if has_centre else grad.new_empty(0)
    return dfeat, dcentre


@group_max_fwd.register_fake
def _(feat: Tensor, idx: Tensor, centre: Tensor | None, impl: str) -> tuple[Tensor, Tensor]:
    shape = (*idx.shape[:2], feat.shape[2])
    return feat.new_empty(shape), feat.new_empty(shape, dtype=torch.uint8)


@group_max_bwd.register_fake
def _(
    grad: Tensor, idx: Tensor, winner: Tensor, num_points: int, has_centre: bool, impl: str
) -> tuple[Tensor, Tensor]:
    clouds, queries, channels = grad.shape
    dcentre = grad.new_empty((clouds, queries, channels) if has_centre else (0,))
    return grad.new_empty(clouds, num_points, channels), dcentre


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    feat, idx, centre, impl = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(idx, output[1])
    ctx.rest = (feat.shape[1], centre is not None, impl)


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    dfeat, dcentre = group_max_bwd(grad.contiguous(), *ctx.saved_tensors, *ctx.rest)
    return dfeat, None, dcentre if ctx.rest[1] else None, None


group_max_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(group_max_bwd, "group_max")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import group_max_cpu

        return group_max_cpu
    from pcmamba.kernels import group_max_triton

    return group_max_triton

"""Neighbours' rows weighted by their own softmax: out = sum_k w_k x_k, w = softmax_k(x).

x_k = feat[b, idx[b, m, k]], channel by channel. The (B, M, K, C) rows and weights are never stored:
the forward pass keeps the logarithm of the sum of exponentials, and the weights follow from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type, gather_rows
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward


def group_softmax(feat: Tensor, idx: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Pool the neighbours of each query by the softmax of their features over the neighbours.

    The largest feature is subtracted first, so that no exponential overflows. Sums run in a fixed
    order in float32, without atomics: two runs give the same bits.

    Args:
        feat: (B, N, C) features of the support points, finite; differentiable.
        idx: (B, M, K) int64 rows of `feat`; -1 is padding and has no weight. On a GPU the range is
            not checked, since the host would have to wait: an index out of range reads as padding.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `feat`; zeros where all of `idx` is padding.

    Raises:
        ValueError: Shapes disagree, or (CPU) an index is outside [-1, N - 1].
        TypeError: `idx` is not int64, or `feat` not float16, bfloat16 or float32 for a kernel.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Zha et al., Mamba3D (2024), section 3.3, local feature pooling.
    """
    check_shapes(feat=(feat, "B N C"), idx=(idx, "B M K"))
    check_index_type(idx)
    chosen = resolve_impl(impl, feat, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            check_index_range(idx, feat.shape[1], padding=True)
        return group_softmax_reference(feat, idx)
    if feat.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(
            f"feat must be float16, bfloat16 or float32 for impl={chosen!r}, got {feat.dtype}; "
            "impl='reference' takes it"
        )
    return group_softmax_fwd(feat, idx, chosen)[0]


def group_softmax_reference(feat: Tensor, idx: Tensor) -> Tensor:
    """Compute `group_softmax` from the stored rows, in any floating dtype."""
    rows = gather_rows(feat, idx)
    padding = (idx < 0)[..., None]
    # A finite floor: a query with padding alone would otherwise have weights of NaN.
    weights = rows.masked_fill(padding, torch.finfo(feat.dtype).min).softmax(dim=2)
    return (weights.masked_fill(padding, 0) * rows).sum(dim=2)


@torch.library.custom_op("pcmamba::group_softmax_fwd", mutates_args=())
def group_softmax_fwd(feat: Tensor, idx: Tensor, impl: str) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the forward pass of `group_softmax`.

    Returns:
        out: (B, M, C) in the dtype of `feat`.
        mean: (B, M, C) float32, the same before rounding.
        log_sum: (B, M, C) float32 log of the sum of exponentials; 0 where all is padding.
    """
    check_index_range(idx, feat.shape[1], padding=True)
    mean, log_sum = _launchers(impl).group_softmax_fwd(feat, idx)
    return mean.to(feat.dtype, copy=True), mean, log_sum


@torch.library.custom_op("pcmamba::group_softmax_bwd", mutates_args=())
def group_softmax_bwd(
    grad: Tensor, feat: Tensor, idx: Tensor, mean: Tensor, log_sum: Tensor, impl: str
) -> Tensor:
    """Launch the backward pass of `group_softmax`."""
    return _launchers(impl).group_softmax_bwd(grad, feat, idx, mean, log_sum)


@group_softmax_fwd.register_fake
def _(feat: Tensor, idx: Tensor, impl: str) -> tuple[Tensor, Tensor, Tensor]:
    out = feat.new_empty(*idx.shape[:2], feat.shape[2])
    wide = feat.new_empty(out.shape, dtype=torch.float32)
    return out, wide, torch.empty_like(wide)


@group_softmax_bwd.register_fake
def _(grad: Tensor, feat: Tensor, idx: Tensor, mean: Tensor, log_sum: Tensor, impl: str) -> Tensor:
    return feat.new_empty(feat.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    feat, idx, ctx.impl = inputs
    _, mean, log_sum = output
    ctx.mark_non_differentiable(mean, log_sum)
    ctx.save_for_backward(feat, idx, mean, log_sum)


def _backward(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    return group_softmax_bwd(grad, *ctx.saved_tensors, ctx.impl), None, None


group_softmax_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(group_softmax_bwd, "group_softmax")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import group_softmax_cpu

        return group_softmax_cpu
    from pcmamba.kernels import group_softmax_triton

    return group_softmax_triton

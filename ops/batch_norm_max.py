"""The end of a local group: batch normalisation, shortcut, maximum over the neighbours, ReLU.

out[b, m, c] = max(0, max over k of shortcut + w (x - mean) / sqrt(var + eps) + b), all at
[b, m, k, c], with one mean and variance of each channel over all b, m and k.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._norm import RunningStats, check_norm, statistics_of, update_running
from pcmamba.ops._once import refuse_double_backward

MOST_NEIGHBOURS = 255


def batch_norm_max(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: RunningStats,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    impl: Impl = "auto",
) -> Tensor:
    """Normalise the groups, add the shortcut, keep the largest neighbour of each channel, cut.

    Statistics as in `batch_norm_relu`. Of equal neighbours the first takes the gradient, and where
    the maximum is cut nobody. Differentiable in x, shortcut, weight and bias.

    Args:
        x: (B, M, K, C) groups, K <= 255.
        shortcut: (B, M, K, C) added to the normalised groups, in the dtype of `x`.
        weight: (C,) scale.
        bias: (C,) shift.
        running: Running statistics; updated in training, used otherwise.
        training: Normalise by the groups' own statistics.
        momentum: Share of the new statistics in the running ones.
        eps: Added to the variance.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `x`.

    Raises:
        ValueError: Shapes disagree, K is 0 or above 255, or training gets fewer than two rows.
        TypeError: Dtypes differ or are not floating point, or float64 meets a kernel.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Ma et al., PointMLP (2022), section 3.1.
    """
    check_shapes(
        x=(x, "B M K C"), shortcut=(shortcut, "B M K C"), weight=(weight, "C"), bias=(bias, "C"),
        mean=(running.mean, "C"),
    )  # fmt: skip
    _check(x, shortcut)
    chosen = resolve_impl(impl, x, ("cpu", "triton"))
    rows = x.shape[0] * x.shape[1] * x.shape[2]
    check_norm(x, rows, training, chosen)
    if chosen == "reference":
        out, mean, var = batch_norm_max_reference(x, shortcut, weight, bias, running, training, eps)
    else:
        fixed = (None, None) if training else (running.mean, running.var)
        out, _, mean, var = batch_norm_max_fwd(x, shortcut, weight, bias, *fixed, eps, chosen)
    if training:
        update_running(running, mean, var, rows, momentum)
    return out


def _check(x: Tensor, shortcut: Tensor) -> None:
    if not 1 <= x.shape[2] <= MOST_NEIGHBOURS:
        raise ValueError(f"x must have 1 to {MOST_NEIGHBOURS} neighbours, got {x.shape[2]}")
    if shortcut.dtype != x.dtype:
        raise TypeError(
            f"shortcut must have the dtype of x, {x.dtype}, got {shortcut.dtype}; "
            "under autocast cast one of them with .to()"
        )


def batch_norm_max_reference(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: RunningStats,
    training: bool,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `batch_norm_max` by its formula; also return the mean and the biased variance."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean, var = statistics_of(wide.flatten(0, 2)) if training else (running.mean, running.var)
    y = shortcut + (wide - mean) * (var + eps).rsqrt() * weight + bias
    return y.max(dim=2).values.relu().to(x.dtype), mean.detach(), var.detach()


@torch.library.custom_op("pcmamba::batch_norm_max_fwd", mutates_args=())
def batch_norm_max_fwd(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the forward pass by the given statistics, or by those of `x` and return them.

    Returns:
        The result (B, M, C), the neighbour that won each channel (B, M, C) uint8, and mean and
        biased variance (C,) float32, empty where they were given.
    """
    out, winner, mean, var = _launchers(impl).batch_norm_max_fwd(
        x, shortcut, weight, bias, mean, var, eps
    )
    return out, winner, mean, var


@torch.library.custom_op("pcmamba::batch_norm_max_bwd", mutates_args=())
def batch_norm_max_bwd(
    grad: Tensor,
    x: Tensor,
    out: Tensor,
    winner: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the backward pass: gradients of x, shortcut, weight and bias.

    Args:
        grad: (B, M, C) gradient of the result.
        x: (B, M, K, C) groups.
        out: (B, M, C) result of the forward pass.
        winner: (B, M, C) uint8 neighbour that won.
        weight: (C,) scale.
        mean: (C,) mean that normalised.
        var: (C,) biased variance that normalised.
        own: Whether these are the statistics of `x`, through which the gradient goes then.
        eps: Added to the variance.
        impl: "cpu" or "triton".
    """
    dx, dshortcut, dweight, dbias = _launchers(impl).batch_norm_max_bwd(
        grad, x, out, winner, weight, mean, var, own, eps
    )
    return dx, dshortcut, dweight.to(weight.dtype), dbias.to(weight.dtype)


@batch_norm_max_fwd.register_fake
def _(
    x: Tensor, shortcut: Tensor, weight: Tensor, bias: Tensor, mean: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    channels = x.shape[3]
    out = x.new_empty(*x.shape[:2], channels)
    size = channels if mean is None else 0
    found, spread = (x.new_empty(size, dtype=torch.float32) for _ in range(2))
    return out, out.new_empty(out.shape, dtype=torch.uint8), found, spread


@batch_norm_max_bwd.register_fake
def _(
    grad: Tensor, x: Tensor, out: Tensor, winner: Tensor, weight: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dx, dshortcut = (x.new_empty(x.shape) for _ in range(2))
    dweight, dbias = (weight.new_empty(weight.shape) for _ in range(2))
    return dx, dshortcut, dweight, dbias


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, _, weight, _, mean, var, *ctx.rest = inputs
    out, winner, *found = output
    ctx.own = mean is None
    ctx.mark_non_differentiable(winner, *found)
    ctx.save_for_backward(x, out, winner, weight, *(found if ctx.own else (mean, var)))


def _backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    gradients = batch_norm_max_bwd(grad, *ctx.saved_tensors, ctx.own, *ctx.rest)
    return *gradients, None, None, None, None


batch_norm_max_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(batch_norm_max_bwd, "batch_norm_max")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import batch_norm_max_cpu

        return batch_norm_max_cpu
    from pcmamba.kernels import batch_norm_max_triton

    return batch_norm_max_triton

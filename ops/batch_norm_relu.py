"""Batch normalisation over rows, then ReLU: y = max(0, w (x - mean) / sqrt(var + eps) + b).

The backward pass computes the normalised values again from x, so that x is all that is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._norm import RunningStats, check_norm, statistics_of, update_running
from pcmamba.ops._once import refuse_double_backward


def batch_norm_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: RunningStats,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    relu: bool = True,
    impl: Impl = "auto",
) -> Tensor:
    """Normalise each channel over all rows, scale, shift, and cut at zero.

    Means and variances are float32 for any dtype of `x` (float64 for float64) and added in a fixed
    order: two runs give the same bits. Differentiable in x, weight and bias, in training also
    through the statistics.

    Args:
        x: (R, C) rows.
        weight: (C,) scale.
        bias: (C,) shift.
        running: Running mean and variance, each (C,). Training updates them in place as
            `nn.BatchNorm1d` does (the variance unbiased); otherwise they normalise.
        training: Normalise by the rows' own mean and biased variance.
        momentum: Share of the new statistics in the running ones.
        eps: Added to the variance.
        relu: Cut at zero.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (R, C) in the dtype of `x`.

    Raises:
        ValueError: Shapes disagree, or training gets fewer than two rows.
        TypeError: `x` is not floating point, or float64 meets a kernel.
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Ioffe and Szegedy, Batch Normalization (2015).
    """
    check_shapes(x=(x, "R C"), weight=(weight, "C"), bias=(bias, "C"), mean=(running.mean, "C"))
    chosen = resolve_impl(impl, x, ("cpu", "triton"))
    check_norm(x, len(x), training, chosen)
    if chosen == "reference":
        y, mean, var = batch_norm_relu_reference(x, weight, bias, running, training, eps, relu)
    else:
        fixed = (None, None) if training else (running.mean, running.var)
        y, mean, var = batch_norm_relu_fwd(x, weight, bias, *fixed, eps, relu, chosen)
    if training:
        update_running(running, mean, var, len(x), momentum)
    return y


def batch_norm_relu_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: RunningStats,
    training: bool,
    eps: float = 1e-5,
    relu: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `batch_norm_relu` by its formula; also return the mean and the biased variance."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean, var = statistics_of(wide) if training else (running.mean, running.var)
    y = (wide - mean) * (var + eps).rsqrt() * weight + bias
    return (F.relu(y) if relu else y).to(x.dtype), mean.detach(), var.detach()


@torch.library.custom_op("pcmamba::batch_norm_relu_fwd", mutates_args=())
def batch_norm_relu_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    relu: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the forward pass by the given statistics, or by those of `x` and return them.

    Returns:
        The result (R, C), and mean and biased variance (C,) float32, empty where they were given.
    """
    y, mean, var = _launchers(impl).batch_norm_relu_fwd(x, weight, bias, mean, var, eps, relu)
    return y, mean, var


@torch.library.custom_op("pcmamba::batch_norm_relu_bwd", mutates_args=())
def batch_norm_relu_bwd(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
    relu: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the backward pass: gradients of x, weight and bias.

    Args:
        grad: (R, C) gradient of the result.
        x: (R, C) input.
        weight: (C,) scale.
        bias: (C,) shift.
        mean: (C,) mean that normalised.
        var: (C,) biased variance that normalised.
        own: Whether these are the statistics of `x`, through which the gradient goes then.
        eps: Added to the variance.
        relu: Whether the result was cut at zero.
        impl: "cpu" or "triton".
    """
    dx, dweight, dbias = _launchers(impl).batch_norm_relu_bwd(
        grad, x, weight, bias, mean, var, own, eps, relu
    )
    return dx, dweight.to(weight.dtype), dbias.to(bias.dtype)


@batch_norm_relu_fwd.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    size = x.shape[1] if mean is None else 0
    found, spread = (x.new_empty(size, dtype=torch.float32) for _ in range(2))
    return x.new_empty(x.shape), found, spread


@batch_norm_relu_bwd.register_fake
def _(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), bias.new_empty(bias.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, mean, var, *ctx.rest = inputs
    ctx.own = mean is None
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(x, weight, bias, *(output[1:] if ctx.own else (mean, var)))


def _backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    dx, dweight, dbias = batch_norm_relu_bwd(grad, *ctx.saved_tensors, ctx.own, *ctx.rest)
    return dx, dweight, dbias, None, None, None, None, None


batch_norm_relu_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(batch_norm_relu_bwd, "batch_norm_relu")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import batch_norm_relu_cpu

        return batch_norm_relu_cpu
    from pcmamba.kernels import batch_norm_relu_triton

    return batch_norm_relu_triton

"""Residual addition and root-mean-square normalisation in one pass.

    stream = residual + x
    y      = stream / sqrt(mean of stream^2 over C + eps) * weight

The stream is float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcmamba.ops._impl import Impl
from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._sequences import check_floats, resolve_sequence_impl, working_dtype


class NormedStream(NamedTuple):
    """Normalised rows, and the residual stream that they were made from."""

    y: Tensor
    stream: Tensor


def add_rms_norm(
    x: Tensor,
    weight: Tensor,
    residual: Tensor | None = None,
    *,
    eps: float = 1e-5,
    dtype: torch.dtype | None = None,
    impl: Impl = "auto",
) -> NormedStream:
    """Add rows to a residual stream and normalise the sum.

    All floating-point arguments are differentiable and may differ in dtype; sums are float32
    (float64 in the reference, if any argument is) and run in a fixed order.

    Args:
        x: (..., C) rows to add.
        weight: (C,) factors of the normalised channels.
        residual: Stream of the shape of `x`, or None where it starts with `x`.
        eps: Added to the mean square.
        dtype: Of y; None for that of `x`.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        y: (..., C) normalised rows in `dtype`.
        stream: (..., C) the sum, float32 (float64 if any argument is).

    Raises:
        ValueError: Shapes disagree, C is 0 or `eps` is negative.
        TypeError: A dtype is not real floating point, or float64 meets an `impl` that is not
            "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization (2019).
    """
    dtype = dtype or x.dtype
    _check(x, weight, residual, eps, dtype)
    chosen = resolve_sequence_impl(impl, x, weight, residual)
    if chosen == "reference":
        return NormedStream(*add_rms_norm_reference(x, weight, residual, eps, dtype))
    rows, other = (None if t is None else t.reshape(-1, len(weight)) for t in (x, residual))
    assert rows is not None
    y, stream, _ = add_rms_norm_fwd(rows, weight, other, eps, dtype, chosen)
    return NormedStream(y.view(x.shape), stream.view(x.shape))


def _check(
    x: Tensor, weight: Tensor, residual: Tensor | None, eps: float, dtype: torch.dtype
) -> None:
    check_floats(x=x, weight=weight, residual=residual)
    if x.dim() < 1 or x.shape[-1] < 1:
        raise ValueError(f"x must be (..., C) with at least one channel, got {tuple(x.shape)}")
    if weight.shape != x.shape[-1:]:
        raise ValueError(f"weight must be ({x.shape[-1]},) like x, got {tuple(weight.shape)}")
    if residual is not None and residual.shape != x.shape:
        raise ValueError(f"residual must be {tuple(x.shape)} like x, got {tuple(residual.shape)}")
    if not eps >= 0:
        raise ValueError(f"eps must be at least 0, got {eps}")
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be real floating point, got {dtype}")


def add_rms_norm_reference(
    x: Tensor,
    weight: Tensor,
    residual: Tensor | None = None,
    eps: float = 1e-5,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `add_rms_norm` from its definition, in torch alone."""
    exact = working_dtype(x, weight, residual)
    stream = x.to(exact, copy=True) if residual is None else residual.to(exact) + x.to(exact)
    scale = torch.rsqrt(stream.square().mean(dim=-1, keepdim=True) + eps)
    return (stream * scale * weight.to(exact)).to(dtype or x.dtype), stream


@torch.library.custom_op("pcmamba::add_rms_norm_fwd", mutates_args=())
def add_rms_norm_fwd(
    x: Tensor,
    weight: Tensor,
    residual: Tensor | None,
    eps: float,
    dtype: torch.dtype,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (R, C), the stream (R, C) and the factor of each row (R,), the last two float32."""
    rows = (None if t is None else t.contiguous() for t in (x, weight, residual))
    result: tuple[Tensor, Tensor, Tensor] = _launchers(impl).add_rms_norm_fwd(*rows, eps, dtype)
    return result


@torch.library.custom_op("pcmamba::add_rms_norm_bwd", mutates_args=())
def add_rms_norm_bwd(
    grad_y: Tensor,
    grad_stream: Tensor | None,
    weight: Tensor,
    stream: Tensor,
    scale: Tensor,
    x_dtype: torch.dtype,
    residual_dtype: torch.dtype | None,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and residual.

    The last one is empty without a residual, and where x has its dtype and so its gradient.
    """
    other = None if residual_dtype == x_dtype else residual_dtype
    grads = (None if t is None else t.contiguous() for t in (grad_y, grad_stream))
    dx, dweight, dresidual = _launchers(impl).add_rms_norm_bwd(
        *grads, weight.contiguous(), stream, scale, x_dtype, other
    )
    return dx, dweight.to(weight.dtype), dresidual


@add_rms_norm_fwd.register_fake
def _(
    x: Tensor, weight: Tensor, residual: Tensor | None, eps: float, dtype: torch.dtype, impl: str
) -> tuple[Tensor, Tensor, Tensor]:
    stream = x.new_empty(x.shape, dtype=torch.float32)
    return x.new_empty(x.shape, dtype=dtype), stream, stream.new_empty(x.shape[0])


@add_rms_norm_bwd.register_fake
def _(
    grad_y: Tensor,
    grad_stream: Tensor | None,
    weight: Tensor,
    stream: Tensor,
    scale: Tensor,
    x_dtype: torch.dtype,
    residual_dtype: torch.dtype | None,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    own = residual_dtype is not None and residual_dtype != x_dtype
    dresidual = stream.new_empty(stream.shape if own else 0, dtype=residual_dtype)
    dx = stream.new_empty(stream.shape, dtype=x_dtype)
    return dx, weight.new_empty(weight.shape), dresidual


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, weight, residual, _, _, ctx.impl = inputs
    _, stream, scale = output
    ctx.mark_non_differentiable(scale)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(weight, stream, scale)
    ctx.dtypes = (x.dtype, None if residual is None else residual.dtype)


def _backward(
    ctx: Any, grad_y: Tensor | None, grad_stream: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    weight, stream, scale = ctx.saved_tensors
    if grad_y is None:
        grad_y = torch.zeros_like(stream)
    dx, dweight, dresidual = add_rms_norm_bwd(
        grad_y, grad_stream, weight, stream, scale, *ctx.dtypes, ctx.impl
    )
    x_dtype, residual_dtype = ctx.dtypes
    shared = {None: None, x_dtype: dx}.get(residual_dtype, dresidual)
    return dx, dweight, shared, None, None, None


add_rms_norm_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(add_rms_norm_bwd, "add_rms_norm")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import add_rms_norm_cpu

        return add_rms_norm_cpu
    from pcmamba.kernels import add_rms_norm_triton

    return add_rms_norm_triton

"""Causal depthwise convolution, channels last.

    out_t = act(bias + sum over w of weight[w] x_{t - (W - 1 - w)})      x is 0 before the start

With `reverse` it looks ahead instead: x_{t + (W - 1 - w)}, 0 after the end.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._sequences import (
    check_floats,
    check_index,
    check_sequence_values,
    dense_offsets,
    resolve_sequence_impl,
    unit_stride,
    working_dtype,
)

Activation = Literal["silu"]


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: Activation | None = None,
    reverse: bool = False,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Convolve each channel with its own taps over this and earlier steps.

    All floating-point arguments are differentiable and may differ in dtype; sums are float32
    (float64 in the reference, if any argument is).

    Args:
        x: (B, L, D); in the ragged form (T, D).
        weight: (D, W) taps, the last one for the step itself.
        bias: (D,) or None.
        activation: "silu" or None.
        reverse: Look at later steps instead of earlier ones.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, L, D) in the dtype of `x`.

    Raises:
        ValueError: Shapes disagree, W is 0, `activation` is unknown, or (CPU) `offsets` do not
            rise from 0 to T.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference".
    """
    _check(x, weight, bias, activation, offsets)
    chosen = resolve_sequence_impl(impl, x, weight, bias)
    silu = activation == "silu"
    if chosen == "reference":
        return causal_conv1d_reference(x, weight, bias, offsets, silu, reverse)
    if offsets is not None:
        return causal_conv1d_fwd(x, weight, bias, offsets, silu, reverse, chosen)
    offsets = dense_offsets(x.shape[0], x.shape[1], x.device)
    rows = x.flatten(0, 1)
    return causal_conv1d_fwd(rows, weight, bias, offsets, silu, reverse, chosen).view(x.shape)


def _check(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, offsets: Tensor | None
) -> None:
    rows = "B L" if offsets is None else "T"
    sizes = check_shapes(x=(x, f"{rows} D"), weight=(weight, "D W"), bias=(bias, "D"))
    if sizes["W"] < 1:
        raise ValueError(f"weight must have at least one tap, got {tuple(weight.shape)}")
    if activation not in (None, "silu"):
        raise ValueError(f"activation must be 'silu' or None, got {activation!r}")
    check_floats(x=x, weight=weight, bias=bias)
    check_index(offsets=offsets)


def causal_conv1d_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    offsets: Tensor | None = None,
    silu: bool = False,
    reverse: bool = False,
) -> Tensor:
    """Compute `causal_conv1d` as a sum of shifted copies, in torch alone."""
    if offsets is None:
        return _convolve(x, weight, bias, silu, reverse)
    if not torch.compiler.is_compiling():
        check_sequence_values(len(x), offsets)
    parts = [
        _convolve(x[None, begin:end], weight, bias, silu, reverse)[0]
        for begin, end in itertools.pairwise(offsets.tolist())
    ]
    return torch.cat(parts) if parts else x.clone()


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool) -> Tensor:
    dtype = working_dtype(x, weight, bias)
    length, taps = x.shape[1], weight.shape[1]
    halo = (0, taps - 1) if reverse else (taps - 1, 0)
    padded = F.pad(x.to(dtype), (0, 0, *halo))
    out = torch.zeros_like(x, dtype=dtype) if bias is None else bias.to(dtype).expand(x.shape)
    for w in range(taps):
        begin = taps - 1 - w if reverse else w
        out = out + weight[:, w].to(dtype) * padded[:, begin : begin + length]
    return (F.silu(out) if silu else out).to(x.dtype)


@torch.library.custom_op("pcmamba::causal_conv1d_fwd", mutates_args=())
def causal_conv1d_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
    impl: str,
) -> Tensor:
    """Launch the forward pass over rows (T, D)."""
    check_sequence_values(len(x), offsets)
    y: Tensor = _launchers(impl).causal_conv1d_fwd(
        *unit_stride(x, weight, bias), offsets, silu, reverse
    )
    return y


@torch.library.custom_op("pcmamba::causal_conv1d_bwd", mutates_args=())
def causal_conv1d_bwd(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight and bias, the last one empty without a bias."""
    dx, dweight, dbias = _launchers(impl).causal_conv1d_bwd(
        *unit_stride(grad_y, x, weight, bias), offsets, silu, reverse
    )
    dbias = grad_y.new_empty(0) if bias is None else dbias.to(bias.dtype)
    return dx.to(x.dtype), dweight.to(weight.dtype), dbias


@causal_conv1d_fwd.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


@causal_conv1d_bwd.register_fake
def _(
    grad_y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    dbias = grad_y.new_empty(0) if bias is None else bias.new_empty(bias.shape)
    return x.new_empty(x.shape), weight.new_empty(weight.shape), dbias


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, offsets, *rest = inputs
    ctx.save_for_backward(x, weight, bias, offsets)
    ctx.rest = rest


def _backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    dx, dweight, dbias = causal_conv1d_bwd(grad_y, *inputs, *ctx.rest)
    return dx, dweight, None if inputs[2] is None else dbias, None, None, None, None


causal_conv1d_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(causal_conv1d_bwd, "causal_conv1d")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import causal_conv1d_cpu

        return causal_conv1d_cpu
    from pcmamba.kernels import causal_conv1d_triton

    return causal_conv1d_triton

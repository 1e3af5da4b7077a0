"""Causal depthwise convolutions of one sequence in both directions, reading it once.

y_t      = act(bias + sum over w of weight[w] x_{t - (W - 1 - w)})
back_y_t = act(back_bias + sum over w of back_weight[w] x_{t + (W - 1 - w)})
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

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
)
from pcmamba.ops.causal_conv1d import Activation, causal_conv1d_reference


class ConvPair(NamedTuple):
    """What a sequence is in either direction."""

    ahead: Tensor
    back: Tensor


def causal_conv1d_pair(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    *,
    activation: Activation | None = None,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> ConvPair:
    """Convolve each channel with taps over earlier steps, and with others over later steps.

    The same as `causal_conv1d` called twice, the second time with `reverse`; the gradients of `x`
    are added in float32.

    Args:
        x: (B, L, D); in the ragged form (T, D).
        weight: (D, W) taps over earlier steps, the last one for the step itself.
        bias: (D,) or None.
        back_weight: (D, W) taps over later steps, the last one for the step itself.
        back_bias: (D,) or None.
        activation: "silu" or None.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        ahead: (B, L, D) in the dtype of `x`.
        back: (B, L, D) in the dtype of `x`.

    Raises:
        ValueError: Shapes disagree, W is 0, `activation` is unknown, or (CPU) `offsets` do not
            rise from 0 to T.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: Zhu et al., Vision Mamba (2024), section 3.3.
    """
    parameters = (weight, bias, back_weight, back_bias)
    _check(x, parameters, activation, offsets)
    chosen = resolve_sequence_impl(impl, x, *parameters)
    silu = activation == "silu"
    if chosen == "reference":
        return ConvPair(*causal_conv1d_pair_reference(x, *parameters, offsets, silu))
    rows = x
    if offsets is None:
        offsets = dense_offsets(x.shape[0], x.shape[1], x.device)
        rows = x.flatten(0, 1)
    ahead, back = causal_conv1d_pair_fwd(rows, *parameters, offsets, silu, chosen)
    return ConvPair(ahead.view(x.shape), back.view(x.shape))


def _check(
    x: Tensor,
    parameters: tuple[Tensor, Tensor | None, Tensor, Tensor | None],
    activation: str | None,
    offsets: Tensor | None,
) -> None:
    weight, bias, back_weight, back_bias = parameters
    sizes = check_shapes(
        x=(x, "B L D" if offsets is None else "T D"),
        weight=(weight, "D W"),
        bias=(bias, "D"),
        back_weight=(back_weight, "D W"),
        back_bias=(back_bias, "D"),
    )
    if sizes["W"] < 1:
        raise ValueError(f"weight must have at least one tap, got {tuple(weight.shape)}")
    if activation not in (None, "silu"):
        raise ValueError(f"activation must be 'silu' or None, got {activation!r}")
    check_floats(x=x, weight=weight, bias=bias, back_weight=back_weight, back_bias=back_bias)
    check_index(offsets=offsets)


def causal_conv1d_pair_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor | None = None,
    silu: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute `causal_conv1d_pair` as two convolutions, in torch alone."""
    ahead = causal_conv1d_reference(x, weight, bias, offsets, silu, False)
    return ahead, causal_conv1d_reference(x, back_weight, back_bias, offsets, silu, True)


@torch.library.custom_op("pcmamba::causal_conv1d_pair_fwd", mutates_args=())
def causal_conv1d_pair_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    impl: str,
) -> tuple[Tensor, Tensor]:
    """Launch the forward pass over rows (T, D)."""
    check_sequence_values(len(x), offsets)
    floats = unit_stride(x, weight, bias, back_weight, back_bias)
    result: tuple[Tensor, Tensor] = _launchers(impl).causal_conv1d_pair_fwd(*floats, offsets, silu)
    return result


@torch.library.custom_op("pcmamba::causal_conv1d_pair_bwd", mutates_args=())
def causal_conv1d_pair_bwd(
    grad_ahead: Tensor,
    grad_back: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight, bias, back_weight, back_bias; empty without a bias."""
    inputs = (x, weight, bias, back_weight, back_bias)
    floats = unit_stride(grad_ahead, grad_back, *inputs)
    grads = _launchers(impl).causal_conv1d_pair_bwd(*floats, offsets, silu)
    own: Any = tuple(
        x.new_empty(0) if tensor is None else grad.to(tensor.dtype)
        for tensor, grad in zip(inputs, grads, strict=True)
    )
    return own  # five, as zip checks


@causal_conv1d_pair_fwd.register_fake
def _(x: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape)


@causal_conv1d_pair_bwd.register_fake
def _(
    grad_ahead: Tensor, grad_back: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grads: Any = tuple(
        grad_ahead.new_empty(0) if t is None else t.new_empty(t.shape) for t in rest[:5]
    )
    return grads


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.silu, ctx.impl = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad_ahead: Tensor, grad_back: Tensor) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    grads = causal_conv1d_pair_bwd(grad_ahead, grad_back, *inputs, ctx.silu, ctx.impl)
    own = (None if t is None else g for g, t in zip(grads, inputs[:5], strict=True))
    return (*own, None, None, None)


causal_conv1d_pair_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(causal_conv1d_pair_bwd, "causal_conv1d_pair")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import causal_conv1d_cpu

        return causal_conv1d_cpu
    from pcmamba.kernels import causal_conv1d_triton

    return causal_conv1d_triton

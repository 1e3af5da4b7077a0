"""Registration of the bidirectional core with torch: convolutions of both branches, both scans.

Here sequences lie one after another, (T, D), and offsets are always given. The kernels are those of
`kernels/bidirectional_nvrtc.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._sequences import unit_stride

Pair = tuple[Tensor, Tensor]


@torch.library.custom_op("pcmamba::bidirectional_conv_fwd", mutates_args=())
def bidirectional_conv_fwd(
    x: Tensor,
    second: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    weight_second: Tensor,
    bias_second: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
) -> Pair:
    """Return silu(conv(x)) of the first branch and of the second, which may read `second`."""
    sources, taps = _conv_inputs(
        x, second, (weight, bias, reverse), (weight_second, bias_second, reverse_second)
    )
    results = [
        u
        for s, t in zip(sources, taps, strict=True)
        for u in _launchers().conv_fwd(s, t, perm, offsets)
    ]
    return results[0], results[1]


@torch.library.custom_op("pcmamba::bidirectional_conv_bwd", mutates_args=())
def bidirectional_conv_bwd(
    grad: Tensor,
    grad_second: Tensor,
    x: Tensor,
    second: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    weight_second: Tensor,
    bias_second: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
) -> list[Tensor]:
    """Return the gradients of x to bias_second, each like its tensor, (0,) for None."""
    sources, taps = _conv_inputs(
        x, second, (weight, bias, reverse), (weight_second, bias_second, reverse_second)
    )
    grads: list[Any] = unit_stride(grad, grad_second)
    grads = [grads] if len(sources) == 1 else [grads[:1], grads[1:]]
    dx, dtaps = [], []
    for own, source, tap in zip(grads, sources, taps, strict=True):
        dsource, dtap = _launchers().conv_bwd(own, source, tap, perm, offsets)
        dx.append(dsource)
        dtaps += dtap
    inputs = (x, second, weight, bias, weight_second, bias_second)
    found = (dx[0], dx[-1], *dtaps[0], *dtaps[1])
    return [_like(t, g) for t, g in zip(inputs, found, strict=True)]


def _conv_inputs(x: Tensor, second: Tensor | None, *taps: Any) -> tuple[Any, Any]:
    """Group the branches by what they read."""
    made = [_launchers().make_taps(*tap) for tap in taps]
    (rows,) = unit_stride(x)
    return (
        ([rows], [made]) if second is None else ([rows, *unit_stride(second)], [[t] for t in made])
    )


def _like(tensor: Tensor | None, grad: Tensor) -> Tensor:
    """Return a gradient in the dtype of its tensor, (0,) for None."""
    return grad.new_empty(0) if tensor is None else grad.to(tensor.dtype)


@bidirectional_conv_fwd.register_fake
def _(x: Tensor, second: Tensor | None, *_: Any) -> Pair:
    other = x if second is None else second
    return x.new_empty(x.shape), other.new_empty(other.shape)


@bidirectional_conv_bwd.register_fake
def _(grad: Tensor, grad_second: Tensor, *inputs: Any) -> list[Tensor]:
    return [grad.new_empty(0) if t is None else t.new_empty(t.shape) for t in inputs[:6]]


def _save_conv(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    ctx.save_for_backward(*inputs[:8])
    ctx.rest = inputs[8:]


def _conv_backward(ctx: Any, grad: Tensor, grad_second: Tensor) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    grads = bidirectional_conv_bwd(grad, grad_second, *inputs, *ctx.rest)
    own = (None if t is None else g for g, t in zip(grads, inputs[:6], strict=True))
    return (*own, None, None, None, None)


bidirectional_conv_fwd.register_autograd(_conv_backward, setup_context=_save_conv)
refuse_double_backward(bidirectional_conv_bwd, "bidirectional_scan")


class CoreInputs(NamedTuple):
    """The tensors of two scans and their gates, in the order of the registered op."""

    u: Tensor
    u_second: Tensor
    gate: Tensor | None
    gate_second: Tensor | None
    delta: Tensor
    delta_second: Tensor
    A_log: Tensor
    A_log_second: Tensor
    B: Tensor
    B_second: Tensor
    C: Tensor
    C_second: Tensor
    D: Tensor | None
    D_second: Tensor | None
    bias: Tensor | None
    bias_second: Tensor | None


@torch.library.custom_op("pcmamba::bidirectional_core", mutates_args=())
def bidirectional_core_fwd(
    u: Tensor,
    u_second: Tensor,
    gate: Tensor | None,
    gate_second: Tensor | None,
    delta: Tensor,
    delta_second: Tensor,
    A_log: Tensor,
    A_log_second: Tensor,
    B: Tensor,
    B_second: Tensor,
    C: Tensor,
    C_second: Tensor,
    D: Tensor | None,
    D_second: Tensor | None,
    bias: Tensor | None,
    bias_second: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gated sum of two scans (T, D), each result before the gate, and the states kept.

    Without `gate_second` both are gated by `gate`, which may be None as well.
    """
    inputs = CoreInputs(
        u, u_second, gate, gate_second, delta, delta_second, A_log, A_log_second,
        B, B_second, C, C_second, D, D_second, bias, bias_second,
    )  # fmt: skip
    branches = _branches(inputs, (reverse, reverse_second))
    out, y, states = _launchers().core_fwd(branches, perm, offsets, keep)
    return out, y[0], y[1], states


@torch.library.custom_op("pcmamba::bidirectional_core_bwd", mutates_args=())
def bidirectional_core_bwd(
    grad: Tensor,
    u: Tensor,
    u_second: Tensor,
    gate: Tensor | None,
    gate_second: Tensor | None,
    delta: Tensor,
    delta_second: Tensor,
    A_log: Tensor,
    A_log_second: Tensor,
    B: Tensor,
    B_second: Tensor,
    C: Tensor,
    C_second: Tensor,
    D: Tensor | None,
    D_second: Tensor | None,
    bias: Tensor | None,
    bias_second: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    y: Tensor,
    y_second: Tensor,
    states: Tensor,
    reverse: bool,
    reverse_second: bool,
) -> list[Tensor]:
    """Return the gradients of u to bias_second, each like its tensor, (0,) for None."""
    inputs = CoreInputs(
        u, u_second, gate, gate_second, delta, delta_second, A_log, A_log_second,
        B, B_second, C, C_second, D, D_second, bias, bias_second,
    )  # fmt: skip
    branches = _branches(inputs, (reverse, reverse_second))
    (rows,) = unit_stride(grad)
    pair = _launchers().core_bwd(rows, branches, [y, y_second], states, perm, offsets)
    names = ("u", "gate", "delta", "A", "B", "C", "D", "bias")
    found = [getattr(grads, name) for name in names for grads in pair]
    return [
        grad.new_empty(0) if t is None else _like(t, g) for t, g in zip(inputs, found, strict=True)
    ]


def _branches(inputs: CoreInputs, reverse: tuple[bool, bool]) -> list[Any]:
    flat = CoreInputs(*unit_stride(*inputs))  # type: ignore[arg-type] # None stays None
    branches = []
    for i in range(2):
        u, gate, delta, A_log, B, C, D, bias = flat[i::2]
        gate = flat.gate if gate is None else gate
        branch = _launchers().make_branch(u, delta, A_log, B, C, D, gate, bias, None, reverse[i])
        branches.append(branch._replace(logarithm=True))
    return branches


@bidirectional_core_fwd.register_fake
def _(u: Tensor, u_second: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    A_log, offsets, keep = rest[4], rest[15], rest[18]
    kept = _launchers().checkpoint_shape(len(u), len(offsets) - 1, *A_log.shape) if keep else (0,)
    y, y_second, out = (t.new_empty(t.shape) for t in (u, u_second, u))
    return out, y, y_second, u.new_empty(2, *kept, dtype=torch.float32)


@bidirectional_core_bwd.register_fake
def _(grad: Tensor, *inputs: Any) -> list[Tensor]:
    return [grad.new_empty(0) if t is None else t.new_empty(t.shape) for t in inputs[:16]]


def _save_core(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:18], *output[1:])
    ctx.rest = inputs[18:20]
    ctx.set_materialize_grads(False)


def _core_backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    if grad is None:
        return (None,) * 21
    grads = bidirectional_core_bwd(grad, *inputs, *ctx.rest)
    own = (None if t is None else g for g, t in zip(grads, inputs[:16], strict=True))
    return (*own, None, None, None, None, None)


bidirectional_core_fwd.register_autograd(_core_backward, setup_context=_save_core)
refuse_double_backward(bidirectional_core_bwd, "bidirectional_scan")


def _launchers() -> Any:
    from pcmamba.kernels import bidirectional_nvrtc

    return bidirectional_nvrtc

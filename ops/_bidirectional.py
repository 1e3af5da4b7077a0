"""Registration of the bidirectional core with torch: convolutions of both branches, both scans.

Here sequences lie one after another, (T, D), and offsets are always given. The kernels are those of
`kernels/bidirectional_nvrtc.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._sequences import unit_stride

Pair = tuple[Tensor, Tensor]
# A registered op costs the square of its number of arguments at every call, so that tensors come in
# lists, which autograd follows if no element is None: a mask says which are there.
Tensors = Sequence[Tensor | None]


def pack(tensors: Tensors) -> tuple[list[Tensor], int]:
    """Return the tensors that are not None and a mask of their places."""
    there = [t is not None for t in tensors]
    return [t for t in tensors if t is not None], sum(1 << i for i, own in enumerate(there) if own)


def _unpack(tensors: Sequence[Tensor], mask: int, count: int) -> list[Tensor | None]:
    rest = iter(tensors)
    return [next(rest) if mask >> i & 1 else None for i in range(count)]


@torch.library.custom_op("pcmamba::bidirectional_conv_fwd", mutates_args=())
def bidirectional_conv_fwd(
    tensors: Sequence[Tensor],
    mask: int,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
) -> Pair:
    """Return silu(conv) of both branches.

    Args:
        tensors: Those that are not None of x (T, D); what the second branch reads in its place;
            weight (D, W) and bias (D,) of the first, and of the second branch.
        mask: Which they are, see `pack`.
        perm: (T,) int64 or None.
        offsets: (sequences + 1,) int64.
        reverse: Whether the first branch looks ahead.
        reverse_second: Whether the second does.
    """
    inputs = _unpack(tensors, mask, 6)
    sources, taps = _conv_inputs(inputs, reverse, reverse_second)
    results = []
    for source, own in zip(sources, taps, strict=True):
        results += _launchers().conv_fwd(source, own, perm, offsets)
    return results[0], results[1]


@torch.library.custom_op("pcmamba::bidirectional_conv_bwd", mutates_args=())
def bidirectional_conv_bwd(
    grads: Sequence[Tensor],
    tensors: Sequence[Tensor],
    mask: int,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
) -> list[Tensor]:
    """Return the gradients of the tensors."""
    inputs = _unpack(tensors, mask, 6)
    sources, taps = _conv_inputs(inputs, reverse, reverse_second)
    rows: list[Any] = unit_stride(*grads)
    parts = [rows] if len(sources) == 1 else [rows[:1], rows[1:]]
    dx, dtaps = [], []
    for own, source, tap in zip(parts, sources, taps, strict=True):
        dsource, dtap = _launchers().conv_bwd(own, source, tap, perm, offsets)
        dx.append(dsource)
        dtaps += dtap
    found = (dx[0], dx[-1], *dtaps[0], *dtaps[1])
    return [g.to(t.dtype) for t, g in zip(inputs, found, strict=True) if t is not None]


def _conv_inputs(inputs: Tensors, reverse: bool, reverse_second: bool) -> tuple[Any, Any]:
    """Group the branches by what they read."""
    x, second, weight, bias, weight_second, bias_second = inputs
    make_taps = _launchers().make_taps
    first = make_taps(weight, bias, reverse)
    other = make_taps(weight_second, bias_second, reverse_second)
    if second is None:
        return unit_stride(x), [[first, other]]
    return unit_stride(x, second), [[first], [other]]


@bidirectional_conv_fwd.register_fake
def _(tensors: Sequence[Tensor], mask: int, *_: Any) -> Pair:
    x, second = tensors[0], tensors[1 if mask & 2 else 0]
    return x.new_empty(x.shape), second.new_empty(second.shape)


@bidirectional_conv_bwd.register_fake
def _(grads: Sequence[Tensor], tensors: Sequence[Tensor], *_: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in tensors]


def _save_conv(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    tensors, ctx.mask, perm, offsets, *ctx.rest = inputs
    ctx.save_for_backward(*tensors, perm, offsets)


def _conv_backward(ctx: Any, grad: Tensor, grad_second: Tensor) -> tuple[Any, ...]:
    *tensors, perm, offsets = ctx.saved_tensors
    pair = [grad, grad_second]
    grads = bidirectional_conv_bwd(pair, tensors, ctx.mask, perm, offsets, *ctx.rest)
    return grads, None, None, None, None, None


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
    tensors: Sequence[Tensor],
    mask: int,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
    reverse_second: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gated sum of two scans (T, D), each result before the gate, and the states kept.

    Without `gate_second` both are gated by `gate`, which may be None as well.

    Args:
        tensors: Those of `CoreInputs` that are not None.
        mask: Which they are, see `pack`.
        perm: (T,) int64 or None.
        offsets: (sequences + 1,) int64.
        reverse: Whether the first scan runs from the last row to the first.
        reverse_second: Whether the second does.
        keep: Keep the states for the backward pass.
    """
    inputs = _unpack(tensors, mask, 16)
    branches = _branches(inputs, (reverse, reverse_second))
    out, y, states = _launchers().core_fwd(branches, perm, offsets, keep)
    return out, y[0], y[1], states


@torch.library.custom_op("pcmamba::bidirectional_core_bwd", mutates_args=())
def bidirectional_core_bwd(
    grad: Tensor,
    tensors: Sequence[Tensor],
    mask: int,
    perm: Tensor | None,
    offsets: Tensor,
    results: Sequence[Tensor],
    reverse: bool,
    reverse_second: bool,
) -> list[Tensor]:
    """Return the gradients of the tensors."""
    inputs = _unpack(tensors, mask, 16)
    branches = _branches(inputs, (reverse, reverse_second))
    (rows,) = unit_stride(grad)
    *y, states = results
    pair = _launchers().core_bwd(rows, branches, y, states, perm, offsets)
    names = ("u", "gate", "delta", "A", "B", "C", "D", "bias")
    found = [getattr(grads, name) for name in names for grads in pair]
    return [g.to(t.dtype) for t, g in zip(inputs, found, strict=True) if t is not None]


def _branches(inputs: Tensors, reverse: tuple[bool, bool]) -> list[Any]:
    flat: list[Any] = unit_stride(*inputs)
    branches = []
    for i in range(2):
        u, gate, delta, A_log, B, C, D, bias = flat[i::2]
        gate = flat[2] if gate is None else gate
        branch = _launchers().make_branch(u, delta, A_log, B, C, D, gate, bias, None, reverse[i])
        branches.append(branch._replace(logarithm=True))
    return branches


@bidirectional_core_fwd.register_fake
def _(
    tensors: Sequence[Tensor], mask: int, perm: Tensor | None, offsets: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    own: Any = CoreInputs(*_unpack(tensors, mask, 16))  # type: ignore[arg-type] # as given
    kept: tuple[int, ...] = (0,)
    if rest[-1]:
        shape = own.A_log.shape
        kept = _launchers().checkpoint_shape(len(own.u), len(offsets) - 1, *shape)
    y, y_second, out = (t.new_empty(t.shape) for t in (own.u, own.u_second, own.u))
    return out, y, y_second, own.u.new_empty(2, *kept, dtype=torch.float32)


@bidirectional_core_bwd.register_fake
def _(grad: Tensor, tensors: Sequence[Tensor], *_: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in tensors]


def _save_core(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, ctx.mask, perm, offsets, *rest = inputs
    ctx.save_for_backward(*tensors, perm, offsets, *output[1:])
    ctx.rest = rest[:2]
    ctx.set_materialize_grads(False)


def _core_backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Any, ...]:
    *tensors, perm, offsets, y, y_second, states = ctx.saved_tensors
    if grad is None:
        return [None] * len(tensors), *[None] * 6
    results = [y, y_second, states]
    grads = bidirectional_core_bwd(grad, tensors, ctx.mask, perm, offsets, results, *ctx.rest)
    return grads, None, None, None, None, None, None


bidirectional_core_fwd.register_autograd(_core_backward, setup_context=_save_core)
refuse_double_backward(bidirectional_core_bwd, "bidirectional_scan")


def _launchers() -> Any:
    from pcmamba.kernels import bidirectional_nvrtc

    return bidirectional_nvrtc

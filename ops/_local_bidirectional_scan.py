"""Registration of the local scan with torch: forward, backward, shapes, gradients, launchers.

Here sequences lie one after another: u (T, D), B (T, S), perm (T,), offsets always given.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._once import refuse_double_backward
from pcmamba.ops._sequences import check_sequence_values, unit_stride

Nine = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("pcmamba::local_bidirectional_scan_fwd", mutates_args=())
def local_bidirectional_scan_fwd(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    delta_softplus: bool,
    reverse: bool,
    segment: int,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (T, D), the last states (B, D, S) and the states kept for the backward pass."""
    check_sequence_values(len(u), offsets, perm)
    floats = unit_stride(u, delta, A, B, C, D, z, delta_bias, initial_state)
    result: tuple[Tensor, Tensor, Tensor] = _launchers(impl).local_bidirectional_scan_fwd(
        *floats, perm, offsets, delta_softplus, reverse, segment
    )
    return result


@torch.library.custom_op("pcmamba::local_bidirectional_scan_bwd", mutates_args=())
def local_bidirectional_scan_bwd(
    grad_y: Tensor,
    grad_last_state: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    checkpoints: Tensor,
    delta_softplus: bool,
    reverse: bool,
    segment: int,
    impl: str,
) -> Nine:
    """Return the gradients of u to initial_state, each like its tensor, (0,) for None."""
    inputs = (u, delta, A, B, C, D, z, delta_bias, initial_state)
    floats = unit_stride(grad_y, grad_last_state, *inputs)
    grads = _launchers(impl).local_bidirectional_scan_bwd(
        *floats, perm, offsets, checkpoints, delta_softplus, reverse, segment
    )
    own: Any = tuple(
        grad_y.new_empty(0) if tensor is None else grad.to(tensor.dtype)
        for tensor, grad in zip(inputs, grads, strict=True)
    )
    return own  # nine, as zip checks


@local_bidirectional_scan_fwd.register_fake
def _(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    perm: Tensor | None,
    offsets: Tensor,
    delta_softplus: bool,
    reverse: bool,
    segment: int,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    sequences = len(offsets) - 1
    kept = _launchers(impl).checkpoint_shape(len(u), sequences, *A.shape, segment)
    states = u.new_empty(sequences, *A.shape, dtype=torch.float32)
    return u.new_empty(u.shape), states, u.new_empty(kept, dtype=torch.float32)


@local_bidirectional_scan_bwd.register_fake
def _(grad_y: Tensor, grad_last_state: Tensor | None, *rest: Any) -> Nine:
    grads: Any = tuple(grad_y.new_empty(0) if t is None else t.new_empty(t.shape) for t in rest[:9])
    return grads


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, delta_softplus, reverse, segment, impl = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.rest = (delta_softplus, reverse, segment, impl)
    ctx.set_materialize_grads(False)


def _backward(
    ctx: Any, grad_y: Tensor | None, grad_last_state: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    if grad_y is None:
        grad_y = torch.zeros_like(inputs[0])
    grads = local_bidirectional_scan_bwd(grad_y, grad_last_state, *inputs, *ctx.rest)
    own = (None if t is None else g for g, t in zip(grads, inputs[:9], strict=True))
    return (*own, None, None, None, None, None, None)


local_bidirectional_scan_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(local_bidirectional_scan_bwd, "local_bidirectional_scan")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import local_bidirectional_scan_cpu

        return local_bidirectional_scan_cpu
    from pcmamba.kernels import local_bidirectional_scan_triton

    return local_bidirectional_scan_triton

"""CUDA C++ kernels of the selective scan, of one branch or of two in one launch.

A block owns 32 or 64 channels of a sequence, or of a part of it where sequences are long and few;
see `_scan.cuh`. The state before every eighth step is kept for the backward pass.
"""

from __future__ import annotations

from torch import Tensor

from pcmamba.kernels._scan_branch_nvrtc import as_float, checkpoint_shape, make_branch
from pcmamba.kernels.selective_scan_bwd_nvrtc import scan_bwd
from pcmamba.kernels.selective_scan_fwd_nvrtc import scan_fwd

__all__ = ["checkpoint_shape", "selective_scan_bwd", "selective_scan_fwd"]


def selective_scan_fwd(
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
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan every sequence of a ragged batch.

    The arguments and results are those of `selective_scan_triton.selective_scan_fwd`.
    """
    branch = make_branch(u, delta, A, B, C, D, z, delta_bias, initial_state, reverse)
    (y,), last_state, states = scan_fwd([branch], perm, offsets, delta_softplus)
    return y, last_state[0], states[0]


def selective_scan_bwd(
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
    states: Tensor,
    delta_softplus: bool,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """Return the gradients of u, delta, A, B, C, D, z, delta_bias and initial_state.

    An input that was None has an empty gradient. The other arguments are those of the forward pass.
    """
    branch = make_branch(u, delta, A, B, C, D, z, delta_bias, initial_state, reverse)
    (grads,) = scan_bwd(
        [branch], [grad_y], [as_float(grad_last_state)], states[None], perm, offsets, delta_softplus
    )
    none = A.new_empty(0)
    return tuple(none if grad is None else grad for grad in grads)

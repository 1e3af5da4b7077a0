"""Selective scan with a second scan, against it, inside short segments of steps.

h_t = a_t h_{t-1} + b_t                    a_t = exp(dt_t A), b_t = dt_t B_t u_t
r_t = a_t (r_{t+1} + b_{t+1})
y_t = (sum over S of C_t (h_t + r_t) + D u_t) silu(z_t)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops import _local_bidirectional_scan
from pcmamba.ops._impl import Impl
from pcmamba.ops._sequences import check_sequence_values, resolve_sequence_impl, working_dtype
from pcmamba.ops.selective_scan import _check, _flatten, _Inputs, _put_rows, _split, _take_rows

SEGMENTS = (1, 2, 4, 8, 16, 32)


def local_bidirectional_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    *,
    segment: int = 16,
    delta_bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    reverse: bool = False,
    perm: Tensor | None = None,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Scan a whole sequence one way, and every segment of it the other way.

    A step sees all earlier steps and the later ones of its segment. Only the first scan crosses
    segments, and only it has a state to start from and to return. Dtypes, the ragged form,
    determinism and gradients are those of `selective_scan`.

    Args:
        u: (B, L, D) input.
        delta: (B, L, D) steps before bias and softplus.
        A: (D, S) real decay rates, below 0.
        B: (B, L, S) input weights.
        C: (B, L, S) output weights.
        D: (D,) weights of the skip connection, or None.
        z: (B, L, D) gate, or None.
        segment: Steps a segment: 1 (no second scan), 2, 4, 8, 16 or 32. Segments are counted from
            the first step processed; the last one may be shorter.
        delta_bias: (D,) added to `delta`, or None.
        initial_state: (B, D, S) state before the first step, or None for 0.
        delta_softplus: Map the steps through softplus(v), taken as v above 20.
        return_last_state: Return the first scan's state after the last step as well.
        reverse: Process the steps from the last to the first; segments run the other way.
        perm: (B, L) int64 permutation of each sequence's rows, which step t reads and writes.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        y: (B, L, D) in the dtype of `u`.
        last_state: (B, D, S) float32, only with `return_last_state`; differentiable.

    Raises:
        ValueError: Shapes disagree, `segment` is none of the sizes, or (CPU) `offsets` or `perm`
            hold values out of range.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference".

    Source: LBMamba (arXiv 2506.15976), whose kernel takes 4 steps a segment up to 128 steps, 8 up
    to 256 and 16 above; here the segment does not depend on the length.
    """
    inputs = _Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    _check(inputs)
    if segment not in SEGMENTS:
        raise ValueError(f"segment must be one of {SEGMENTS}, got {segment}")
    chosen = resolve_sequence_impl(impl, *inputs[:9])
    options = (delta_softplus, reverse, segment)
    if chosen == "reference":
        y, last_state = local_bidirectional_scan_reference(*inputs, *options)
    else:
        rows = inputs if offsets is not None else _flatten(inputs)
        y, last_state, _ = _local_bidirectional_scan.local_bidirectional_scan_fwd(
            *rows, *options, chosen
        )
        y = y.view(u.shape)
    return (y, last_state) if return_last_state else y


def local_bidirectional_scan_reference(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    perm: Tensor | None = None,
    offsets: Tensor | None = None,
    delta_softplus: bool = False,
    reverse: bool = False,
    segment: int = 16,
) -> tuple[Tensor, Tensor]:
    """Compute y and the last state one step at a time, in torch alone."""
    inputs = _Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    flat = inputs if offsets is not None else _flatten(inputs)
    assert flat.offsets is not None
    if not torch.compiler.is_compiling():
        check_sequence_values(len(flat.u), flat.offsets, flat.perm)
    options = (delta_softplus, reverse, segment)
    if offsets is None:
        return _scan_dense(inputs, *options)
    parts = [_scan_dense(part, *options) for part in _split(inputs, offsets.tolist())]
    if not parts:
        return u.clone(), A.new_zeros(0, *A.shape, dtype=working_dtype(*inputs[:9]))
    return torch.cat([y[0] for y, _ in parts]), torch.cat([last for _, last in parts])


def _scan_dense(
    inputs: _Inputs, delta_softplus: bool, reverse: bool, segment: int
) -> tuple[Tensor, Tensor]:
    dtype, perm = working_dtype(*inputs[:9]), inputs.perm
    u, delta, A, B, C = (t.to(dtype) for t in inputs[:5])
    D, z, delta_bias, state = (None if t is None else t.to(dtype) for t in inputs[5:9])
    step = delta if delta_bias is None else delta + delta_bias
    step = F.softplus(step) if delta_softplus else step
    state = u.new_zeros(len(u), *A.shape) if state is None else state
    rows = [_take_rows(t, perm) for t in (u, step, B, C)]
    rows = [t.flip(1) for t in rows] if reverse else rows
    y, state = _both_scans(rows, A, state, segment)
    y = _put_rows(y.flip(1) if reverse else y, perm)
    y = y if D is None else y + D * u
    y = y if z is None else y * F.silu(z)
    return y.to(inputs.u.dtype), state


def _both_scans(
    rows: list[Tensor], A: Tensor, state: Tensor, segment: int
) -> tuple[Tensor, Tensor]:
    """Sum over states of C (h + r), and the last h; rows lie in the order of the steps."""
    u, step, B, C = rows
    length = u.shape[1]
    decay = torch.exp(step[..., None] * A)
    drive = (step * u)[..., None] * B[:, :, None]
    seen = []
    for t in range(length):
        state = decay[:, t] * state + drive[:, t]
        seen.append(state)
    ahead = torch.zeros_like(state)
    for t in reversed(range(length - 1)):
        if (t + 1) % segment == 0:
            ahead = torch.zeros_like(state)
            continue
        ahead = decay[:, t] * (ahead + drive[:, t + 1])
        seen[t] = seen[t] + ahead
    if not seen:
        return torch.zeros_like(u), state
    return (torch.stack(seen, 1) * C[:, :, None]).sum(-1), state

"""Selective scan of Mamba, channels last.

    dt_t = softplus(delta_t + delta_bias)         or delta_t + delta_bias
    h_t  = exp(dt_t A) h_{t-1} + dt_t B_t u_t     state (D, S), starts at initial_state or 0
    y_t  = (sum over S of C_t h_t + D u_t) silu(z_t)

With `reverse` the state comes from t + 1, and h_t still decays by its own step's exp(dt_t A).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops import _selective_scan
from pcmamba.ops._check import check_shapes
from pcmamba.ops._impl import Impl
from pcmamba.ops._sequences import (
    check_floats,
    check_index,
    check_sequence_values,
    dense_offsets,
    flatten_rows,
    resolve_scan_impl,
    working_dtype,
)


class _Inputs(NamedTuple):
    """The tensors of a scan in the order every launcher takes them."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None
    perm: Tensor | None
    offsets: Tensor | None


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    reverse: bool = False,
    perm: Tensor | None = None,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Scan each channel of a sequence with a state whose decay and input depend on the step.

    All floating-point arguments are differentiable and may differ in dtype; the state and every
    sum are float32 (float64 in the reference, if any argument is). Two runs give the
    same bits, and the values of other sequences never change a result; on a GPU their number may
    change its last bits, since few long sequences are scanned in segments.

    Ragged form: drop the batch axis, so that (B, L, ...) becomes (T, ...), and give `offsets`.

    Args:
        u: (B, L, D) input.
        delta: (B, L, D) steps before bias and softplus.
        A: (D, S) real decay rates, below 0.
        B: (B, L, S) input weights.
        C: (B, L, S) output weights.
        D: (D,) weights of the skip connection, or None.
        z: (B, L, D) gate, or None.
        delta_bias: (D,) added to `delta`, or None.
        initial_state: (B, D, S) state before the first step, or None for 0; in the ragged form B
            is the number of sequences.
        delta_softplus: Map the steps through softplus(v), taken as v above 20.
        return_last_state: Return the state after the last step processed as well.
        reverse: Process the steps from the last to the first, without flipping anything.
        perm: (B, L) int64 permutation of each sequence's rows: step t reads row perm[t] of u,
            delta, B, C and z, and writes row perm[t] of y. On a GPU its range is not checked.
        offsets: (B + 1,) int64 for the ragged form, rising from 0 to T.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        y: (B, L, D) in the dtype of `u`.
        last_state: (B, D, S) float32, only with `return_last_state`; differentiable.

    Raises:
        ValueError: Shapes disagree, or (CPU) `offsets` or `perm` hold values out of range.
        TypeError: A dtype is wrong, or float64 meets an `impl` that is not "reference".
        NotImplementedError: The result is differentiated twice, other than by "reference", or
            "nvrtc" is asked for more than 64 states.

    Source: Gu and Dao, Mamba (2023), section 3.
    """
    inputs = _Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    _check(inputs)
    chosen = resolve_scan_impl(impl, *inputs[:9], states=A.shape[1])
    if chosen == "reference":
        y, last_state = selective_scan_reference(*inputs, delta_softplus, reverse)
    else:
        rows = inputs if offsets is not None else _flatten(inputs)
        y, last_state, _ = _selective_scan.selective_scan_fwd(
            *rows, delta_softplus, reverse, chosen
        )
        y = y.view(u.shape)
    return (y, last_state) if return_last_state else y


def _check(inputs: _Inputs) -> None:
    u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets = inputs
    rows = "B L" if offsets is None else "T"
    sizes = check_shapes(
        u=(u, f"{rows} D"),
        delta=(delta, f"{rows} D"),
        A=(A, "D S"),
        B=(B, f"{rows} S"),
        C=(C, f"{rows} S"),
        D=(D, "D"),
        z=(z, f"{rows} D"),
        delta_bias=(delta_bias, "D"),
        initial_state=(initial_state, "B D S"),
        perm=(perm, rows),
    )
    check_floats(**{k: v for k, v in inputs._asdict().items() if k not in ("perm", "offsets")})
    check_index(perm=perm, offsets=offsets)
    if offsets is not None and initial_state is not None and sizes["B"] != len(offsets) - 1:
        raise ValueError(
            f"initial_state must have one state per sequence, {len(offsets) - 1}, got {sizes['B']}"
        )


def _flatten(inputs: _Inputs) -> _Inputs:
    batch, length, _ = inputs.u.shape
    rows = ("u", "delta", "B", "C", "z", "perm")
    flat: dict[str, Any] = {name: flatten_rows(getattr(inputs, name)) for name in rows}
    return inputs._replace(**flat, offsets=dense_offsets(batch, length, inputs.u.device))


def selective_scan_reference(
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
) -> tuple[Tensor, Tensor]:
    """Compute y and the last state of `selective_scan` one step at a time, in torch alone.

    Works in float64 if any tensor is float64, else in float32.
    """
    inputs = _Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    flat = inputs if offsets is not None else _flatten(inputs)
    assert flat.offsets is not None
    if not torch.compiler.is_compiling():
        check_sequence_values(len(flat.u), flat.offsets, flat.perm)
    if offsets is None:
        return _scan_dense(inputs, delta_softplus, reverse)
    parts = [_scan_dense(s, delta_softplus, reverse) for s in _split(inputs, offsets.tolist())]
    if not parts:
        return u.clone(), A.new_zeros(0, *A.shape, dtype=working_dtype(*inputs[:9]))
    return torch.cat([y[0] for y, _ in parts]), torch.cat([last for _, last in parts])


def _split(inputs: _Inputs, bounds: list[int]) -> list[_Inputs]:
    """Cut a ragged batch into dense batches of one sequence."""
    names, states = ("u", "delta", "B", "C", "z", "perm"), inputs.initial_state
    rows: dict[str, Any] = {k: v for k, v in inputs._asdict().items() if k in names}
    parts = []
    for i, (begin, end) in enumerate(itertools.pairwise(bounds)):
        own: dict[str, Any] = {
            k: None if t is None else t[None, begin:end] for k, t in rows.items()
        }
        state = None if states is None else states[i : i + 1]
        parts.append(inputs._replace(**own, initial_state=state, offsets=None))
    return parts


def _scan_dense(inputs: _Inputs, delta_softplus: bool, reverse: bool) -> tuple[Tensor, Tensor]:
    dtype, perm = working_dtype(*inputs[:9]), inputs.perm
    u, delta, A, B, C = (t.to(dtype) for t in inputs[:5])
    D, z, delta_bias, state = (None if t is None else t.to(dtype) for t in inputs[5:9])
    step = delta if delta_bias is None else delta + delta_bias
    step = F.softplus(step) if delta_softplus else step
    if state is None:
        state = u.new_zeros(len(u), *A.shape)
    rows = [_take_rows(t, perm) for t in (u, step, B, C)]
    y, state = _steps(rows, A, state, reverse)
    y = _put_rows(y, perm)
    y = y if D is None else y + D * u
    y = y if z is None else y * F.silu(z)
    return y.to(inputs.u.dtype), state


def _steps(rows: list[Tensor], A: Tensor, state: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    u, step, B, C = rows
    times = range(u.shape[1])
    y = [u[:, t] for t in times]
    for t in reversed(times) if reverse else times:
        decay = torch.exp(step[:, t, :, None] * A)
        state = decay * state + (step[:, t] * u[:, t])[:, :, None] * B[:, t, None]
        y[t] = (state * C[:, t, None]).sum(-1)
    return torch.stack(y, dim=1) if y else torch.zeros_like(u), state


def _take_rows(tensor: Tensor, perm: Tensor | None) -> Tensor:
    return tensor if perm is None else tensor.gather(1, perm[:, :, None].expand_as(tensor))


def _put_rows(tensor: Tensor, perm: Tensor | None) -> Tensor:
    if perm is None:
        return tensor
    return torch.zeros_like(tensor).scatter(1, perm[:, :, None].expand_as(tensor), tensor)

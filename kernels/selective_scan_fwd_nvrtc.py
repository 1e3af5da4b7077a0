"""Launches of `selective_scan_fwd.cu`: the forward pass, whole or in parts of long sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels._scan_branch_nvrtc import (
    CHANNELS,
    TYPES,
    Branch,
    channels_of_thread,
    checkpoint_shape,
    device_index,
    layout,
    part_length,
    stride_of,
    threads_of,
)

FORWARD, ENDS, ADJOINT_ENDS = range(3)  # PASS of selective_scan_fwd.cu


def scan_fwd(
    branches: Sequence[Branch],
    perm: Tensor | None,
    offsets: Tensor,
    softplus: bool,
    keep: bool = True,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Scan one or two branches alike in sizes and dtypes.

    Args:
        branches: Their tensors.
        perm: (T,) int64, row inside its sequence of every step, or None.
        offsets: (sequences + 1,) int64.
        softplus: Map the steps through softplus.
        keep: Keep the states for the backward pass.

    Returns:
        y: (T, D) in the dtype of `u` for each branch.
        last_state: (branches, sequences, D, S) float32.
        states: (branches, *checkpoint_shape) float32, or (branches, 0) without `keep`.
    """
    u, A = branches[0].u, branches[0].A
    (rows, width), size, sequences, count = u.shape, A.shape[1], len(offsets) - 1, len(branches)
    y = [torch.empty(rows, width, dtype=u.dtype, device=u.device) for _ in branches]
    last_state = A.new_empty(count, sequences, width, size)
    states = A.new_empty(count, *(checkpoint_shape(rows, sequences, width, size) if keep else (0,)))
    if not sequences or not width:
        return y, last_state, states
    many = channels_of_thread(rows, sequences, width, size, count)
    segment = part_length(rows, sequences, width, count, many)
    starts: list[Tensor | None] = [branch.initial_state for branch in branches]
    if segment:
        starts = carry(
            branches, [b.u for b in branches], starts, perm, offsets, softplus, segment, many
        )
    outputs = [(y[i], last_state[i], states[i] if keep else None, None) for i in range(count)]
    _walk(
        FORWARD,
        branches,
        [b.u for b in branches],
        starts,
        outputs,
        perm,
        offsets,
        softplus,
        segment,
        many,
    )
    return y, last_state, states


def carry(
    branches: Sequence[Branch],
    inputs: Sequence[Tensor],
    initial: Sequence[Tensor | None],
    perm: Tensor | None,
    offsets: Tensor,
    softplus: bool,
    segment: int,
    many: int,
    mode: int = ENDS,
) -> list[Tensor | None]:
    """Return the state that enters each part, (slots, D, S) for every branch."""
    A, count, sequences = branches[0].A, len(branches), len(offsets) - 1
    width, size = A.shape
    slots = len(branches[0].u) // segment + sequences
    ends, sums = A.new_empty(count, slots, width, size), A.new_empty(count, slots, width)
    outputs = [(None, ends[i], None, sums[i]) for i in range(count)]
    none: list[Tensor | None] = [None] * count
    _walk(mode, branches, inputs, none, outputs, perm, offsets, softplus, segment, many)
    kernel = _nvrtc.load(
        "selective_scan_carry",
        "selective_scan_carry",
        "P" * 7 + "q" * 6,
        (("LOGARITHM", int(branches[0].logarithm)),),
        device_index(A),
    )
    kernel(
        (-(-sequences * width * size // 128), count, 1),
        128,
        A,
        branches[-1].A,
        initial[0],
        initial[-1],
        ends,
        sums,
        offsets,
        sequences,
        slots,
        width,
        size,
        segment,
        mode == ADJOINT_ENDS,
    )
    return list(ends.unbind())


def _walk(
    mode: int,
    branches: Sequence[Branch],
    inputs: Sequence[Tensor],
    starts: Sequence[Tensor | None],
    outputs: Sequence[tuple[Tensor | None, ...]],
    perm: Tensor | None,
    offsets: Tensor,
    softplus: bool,
    segment: int,
    many: int,
) -> None:
    """Launch `selective_scan_fwd.cu` in one of its passes."""
    A, sequences = branches[0].A, len(offsets) - 1
    width, size = A.shape
    values: list[Any] = []
    gated = mode != ENDS and branches[0].gate is not None
    for branch, own, start, (y, last, states, sums) in zip(
        branches, inputs, starts, outputs, strict=True
    ):
        gate = branch.gate if gated else None
        values += [own, branch.delta, A if branch is branches[0] else branch.A]
        values += [branch.B, branch.C, branch.D, branch.bias, gate, start, y, last, states, sums]
        values += [stride_of(t) for t in (own, branch.delta, branch.B, branch.C, gate)]
        values += [branch.reverse]
    values += [perm, offsets, sequences, width, size, segment]
    gates = [b.gate for b in branches if gated and b.gate is not None]
    macros = (
        *layout(branches, [*inputs, *(b.delta for b in branches), *gates], many),
        ("U_TYPE", TYPES[inputs[0].dtype]),
        ("Z_TYPE", TYPES[gates[0].dtype] if gates else "float"),
        ("SOFTPLUS", int(softplus)),
        ("PERM", int(perm is not None)),
        ("GATE", int(gated)),
        ("PASS", mode),
    )
    signature = ("P" * 13 + "q" * 6) * len(branches) + "PPqqqq"
    kernel = _nvrtc.load(
        "selective_scan_fwd", "selective_scan_fwd", signature, macros, device_index(A)
    )
    parts = (len(branches[0].u) // segment if segment else 0) + sequences
    kernel((-(-width // (CHANNELS * many)) * parts, len(branches), 1), threads_of(size), *values)

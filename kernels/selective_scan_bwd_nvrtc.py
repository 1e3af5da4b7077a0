"""Launches of `selective_scan_bwd.cu`, of one branch or of two, and of the sums after it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels._scan_branch_nvrtc import (
    CHANNELS,
    TYPES,
    Branch,
    Gradients,
    channels_of_thread,
    device_index,
    layout,
    padded_size,
    part_length,
    stride_of,
    threads_of,
)
from pcmamba.kernels.selective_scan_fwd_nvrtc import ADJOINT_ENDS, carry
from pcmamba.kernels.sum_parts_nvrtc import sum_parts

UNGATED, FORM_Y, GIVEN_Y = range(3)  # GATE of selective_scan_bwd.cu


def scan_bwd(
    branches: Sequence[Branch],
    grads: Sequence[Tensor],
    grads_last: Sequence[Tensor | None],
    states: Tensor,
    perm: Tensor | None,
    offsets: Tensor,
    softplus: bool,
    outputs: Sequence[tuple[Tensor | None, Tensor | None]] | None = None,
) -> list[Gradients]:
    """Return the gradients of every branch: of rows in their dtypes, of parameters in float32.

    Args:
        branches: As in the forward pass.
        grads: Gradient of each y, (T, D).
        grads_last: Gradient of each last state, (sequences, D, S) float32, or None.
        states: Those the forward pass kept.
        perm: As in the forward pass.
        offsets: As in the forward pass.
        softplus: As in the forward pass.
        outputs: For each branch the one or two outputs before the gate whose sum it multiplied;
            (None, None) to leave out the gate's gradient. Without `outputs` each branch was gated
            alone, and its output is formed again.
    """
    A, (rows, width), count = branches[0].A, branches[0].u.shape, len(branches)
    size, sequences, wide = A.shape[1], len(offsets) - 1, padded_size(A.shape[1])
    many = 1
    if outputs is not None or branches[0].gate is None:  # else shared memory is too small
        many = channels_of_thread(rows, sequences, width, size, count)
    segment = part_length(rows, sequences, width, count, many)
    parts, blocks = (rows // segment if segment else 0) + sequences, -(-width // (CHANNELS * many))
    partial = A.new_empty(count, parts, width * (size + 2))
    dBC = A.new_empty(count, 2, blocks, rows, wide)
    given = [(None, None)] * count if outputs is None else outputs
    results = [
        _empty_gradients(b, outputs is None or y[0] is not None)
        for b, y in zip(branches, given, strict=True)
    ]
    if not partial.numel():
        for result in results:
            for grad in (result.A, result.D, result.bias):
                grad.zero_()
        return results
    starts = list(grads_last)
    if segment:
        starts = carry(
            branches, grads, starts, perm, offsets, softplus, segment, many, ADJOINT_ENDS
        )
    values: list[Any] = []
    for i, (branch, result) in enumerate(zip(branches, results, strict=True)):
        inputs = (*branch[:6], branch.bias, branch.gate)
        values += [grads[i], *inputs, *given[i], states[i], starts[i]]
        values += [result.u, result.delta, result.gate]
        values += [partial[i], *dBC[i], result.initial_state]
        strided = (grads[i], *branch[:2], *branch[3:5], branch.gate)
        values += [*(stride_of(t) for t in strided), branch.reverse]
    values += [perm, offsets, sequences, rows, width, size, segment]
    kernel = _bwd_kernel(branches, grads, perm, softplus, outputs is not None, many)
    kernel((blocks * parts, count, 1), threads_of(size), *values)
    _sum_rows(dBC, results)
    sum_parts(partial, [[r.A, r.D, r.bias] for r in results])
    return results


def _empty_gradients(branch: Branch, gated: bool) -> Gradients:
    def like(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)

    A, gate, initial = branch.A, branch.gate, branch.initial_state
    return Gradients(
        u=like(branch.u),
        delta=like(branch.delta),
        A=like(A),
        B=like(branch.B),
        C=like(branch.C),
        D=A.new_empty(len(A)),
        gate=like(gate) if gated and gate is not None else None,
        bias=A.new_empty(len(A)),
        initial_state=None if initial is None else like(initial),
    )


def _bwd_kernel(
    branches: Sequence[Branch],
    grads: Sequence[Tensor],
    perm: Tensor | None,
    softplus: bool,
    given: bool,
    many: int,
) -> _nvrtc.Kernel:
    branch, count = branches[0], len(branches)
    gates = [b.gate for b in branches if b.gate is not None]
    rows = [*grads, *itertools.chain.from_iterable(b[:2] for b in branches), *gates]
    exact = torch.float32 in (branch.u.dtype, branch.B.dtype, branch.C.dtype)
    macros = (
        *layout(branches, rows, many),
        ("U_TYPE", TYPES[branch.u.dtype]),
        ("GRAD_TYPE", TYPES[grads[0].dtype]),
        ("Z_TYPE", TYPES[gates[0].dtype] if gates else "float"),
        ("SOFTPLUS", int(softplus)),
        ("PERM", int(perm is not None)),
        ("GATE", (GIVEN_Y if given else FORM_Y) if gates else UNGATED),
        ("EXACT", int(exact)),
        ("BLOCKS", _resident(branch.A.shape[1], many)),
    )
    signature = ("P" * 20 + "q" * 7) * count + "PPqqqqq"
    return _nvrtc.load(
        "selective_scan_bwd", "selective_scan_bwd", signature, macros, device_index(branch.A)
    )


def _resident(size: int, many: int) -> int:
    """Return how many blocks of the backward pass share a multiprocessor's registers."""
    if size > 16:
        return 1
    return 2 if many == 2 else 3


def _sum_rows(partials: Tensor, results: Sequence[Gradients]) -> None:
    count, _, blocks, rows, wide = partials.shape
    first, last = results[0], results[-1]
    size = first.B.shape[1]
    macros = (("WIDE", wide), ("B_TYPE", TYPES[first.B.dtype]), ("C_TYPE", TYPES[first.C.dtype]))
    kernel = _nvrtc.load(
        "selective_scan_sum", "selective_scan_sum", "PPPPPqqq", macros, device_index(partials)
    )
    grid = (-(-rows * wide // 1024), 2 * count, 1)
    kernel(grid, 256, partials, first.B, first.C, last.B, last.C, blocks, rows, size)

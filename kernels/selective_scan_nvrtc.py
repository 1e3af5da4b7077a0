"""CUDA C++ kernels of the selective scan, of one branch or of two in one launch.

A block owns 32 or 64 channels of a sequence, or of a part of it where sequences are long and few;
see `_scan.cuh`. The state before every eighth step is kept for the backward pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels.sum_parts_nvrtc import sum_parts

CHANNELS = 32  # of a block in which a thread has one
MANY = 2  # channels of a thread where they suffice to fill a GPU
KEEP = 8  # steps between the states kept for the backward pass
FEWEST_BLOCKS = 768  # below, long sequences are cut: a GPU holds about half as many at a time
FEWEST_BLOCKS_OF_MANY = 256
SHORTEST_PART = 128
TYPES = {torch.float32: "float", torch.bfloat16: "bfloat16", torch.float16: "float16"}
FORWARD, ENDS, ADJOINT_ENDS = range(3)  # PASS of selective_scan_fwd.cu
UNGATED, FORM_Y, GIVEN_Y = range(3)  # GATE of selective_scan_bwd.cu

Macros = tuple[tuple[str, str | int], ...]


class Branch(NamedTuple):
    """The tensors of one scan: rows (T, ...) with any row stride and unit stride across.

    Attributes:
        u: (T, D).
        delta: (T, D).
        A: (D, S) float32, contiguous, like the other tensors without rows.
        B: (T, S).
        C: (T, S).
        D: (D,) float32 or None.
        gate: (T, D) or None.
        bias: (D,) float32 or None.
        initial_state: (sequences, D, S) float32 or None.
        reverse: Step from the last row to the first.
        logarithm: `A` holds log(-A), and its gradient is with respect to that.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    gate: Tensor | None
    bias: Tensor | None
    initial_state: Tensor | None
    reverse: bool
    logarithm: bool = False


class Gradients(NamedTuple):
    """What the backward pass of a branch leaves, of D and the bias also where it had none."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    gate: Tensor | None
    bias: Tensor
    initial_state: Tensor | None


def steps_of(size: int) -> int:
    """Return the steps of a tile."""
    return 16 if size <= 16 else 8


def padded_size(size: int) -> int:
    """Return the states of a channel as kernels hold them, a power of two."""
    return max(4, 1 << (size - 1).bit_length())


def checkpoint_shape(
    tokens: int, sequences: int, channels: int, states: int
) -> tuple[int, int, int]:
    """Return the shape of the states kept for the backward pass, one every 8 steps."""
    return tokens // KEEP + sequences, channels, padded_size(states)


def channels_of_thread(
    tokens: int, sequences: int, channels: int, states: int, branches: int
) -> int:
    """Return how many channels a thread scans; a function of sizes."""
    blocks = -(-channels // (CHANNELS * MANY)) * branches
    many = blocks * max(sequences, tokens // SHORTEST_PART) >= FEWEST_BLOCKS_OF_MANY
    return MANY if many and padded_size(states) == 16 else 1


def part_length(tokens: int, sequences: int, channels: int, branches: int, many: int) -> int:
    """Return the steps after which sequences are cut, 0 for not at all; a function of sizes."""
    blocks = -(-channels // (CHANNELS * many)) * branches
    parts = FEWEST_BLOCKS // (blocks * max(sequences, 1))
    length = tokens // max(sequences, 1)
    if parts < 3 or length < 2 * SHORTEST_PART:
        return 0
    even = -(-length // parts)
    return max(SHORTEST_PART, -(-even // 16) * 16)


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


def make_branch(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    gate: Tensor | None,
    bias: Tensor | None,
    initial_state: Tensor | None,
    reverse: bool,
) -> Branch:
    """Return the branch with its parameters in float32."""
    decay, *rest = (as_float(t) for t in (A, D, bias, initial_state))
    assert decay is not None
    return Branch(u, delta, decay, B, C, rest[0], gate, rest[1], rest[2], reverse)


def as_float(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor contiguous and in float32."""
    return None if tensor is None else tensor.float().contiguous()


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
        starts = _carry(
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


def _carry(
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
        _index(A),
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
        values += [_stride(t) for t in (own, branch.delta, branch.B, branch.C, gate)]
        values += [branch.reverse]
    values += [perm, offsets, sequences, width, size, segment]
    gates = [b.gate for b in branches if gated and b.gate is not None]
    macros = (
        *_layout(branches, [*inputs, *(b.delta for b in branches), *gates], many),
        ("U_TYPE", TYPES[inputs[0].dtype]),
        ("Z_TYPE", TYPES[gates[0].dtype] if gates else "float"),
        ("SOFTPLUS", int(softplus)),
        ("PERM", int(perm is not None)),
        ("GATE", int(gated)),
        ("PASS", mode),
    )
    signature = ("P" * 13 + "q" * 6) * len(branches) + "PPqqqq"
    kernel = _nvrtc.load("selective_scan_fwd", "selective_scan_fwd", signature, macros, _index(A))
    parts = (len(branches[0].u) // segment if segment else 0) + sequences
    kernel((-(-width // (CHANNELS * many)) * parts, len(branches), 1), _threads(size), *values)


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
        starts = _carry(
            branches, grads, starts, perm, offsets, softplus, segment, many, ADJOINT_ENDS
        )
    values: list[Any] = []
    for i, (branch, result) in enumerate(zip(branches, results, strict=True)):
        inputs = (*branch[:6], branch.bias, branch.gate)
        values += [grads[i], *inputs, *given[i], states[i], starts[i]]
        values += [result.u, result.delta, result.gate]
        values += [partial[i], *dBC[i], result.initial_state]
        strided = (grads[i], *branch[:2], *branch[3:5], branch.gate)
        values += [*(_stride(t) for t in strided), branch.reverse]
    values += [perm, offsets, sequences, rows, width, size, segment]
    kernel = _bwd_kernel(branches, grads, perm, softplus, outputs is not None, many)
    kernel((blocks * parts, count, 1), _threads(size), *values)
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
        *_layout(branches, rows, many),
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
        "selective_scan_bwd", "selective_scan_bwd", signature, macros, _index(branch.A)
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
        "selective_scan_sum", "selective_scan_sum", "PPPPPqqq", macros, _index(partials)
    )
    grid = (-(-rows * wide // 1024), 2 * count, 1)
    kernel(grid, 256, partials, first.B, first.C, last.B, last.C, blocks, rows, size)


def _layout(branches: Sequence[Branch], rows: Sequence[Tensor], many: int) -> Macros:
    """Sizes of the tiles, how wide a thread reads, and the dtypes that both passes have."""
    first, size = branches[0], branches[0].A.shape[1]
    wide = padded_size(size)
    own = 8 if wide == 64 else 4
    pairs = first.u.shape[1] % 2 == 0 and all(map(_even, rows)) and wide <= 16
    weights = [t for branch in branches for t in (branch.B, branch.C)]
    return (
        ("STEPS", steps_of(size)),
        ("KEEP", KEEP),
        ("OWN", own),
        ("LANES", wide // own),
        ("MANY", many),
        ("THREADS", _threads(size)),
        ("BRANCHES", len(branches)),
        ("VECTOR", 1 + pairs),
        ("WEIGHT_VECTOR", 1 + (size % 2 == 0 and all(map(_even, weights)))),
        ("LOGARITHM", int(first.logarithm)),
        ("DELTA_TYPE", TYPES[first.delta.dtype]),
        ("B_TYPE", TYPES[first.B.dtype]),
        ("C_TYPE", TYPES[first.C.dtype]),
    )


def _threads(size: int) -> int:
    wide = padded_size(size)
    return CHANNELS * wide // (8 if wide == 64 else 4)


def _even(tensor: Tensor) -> bool:
    """Tell whether rows can be read two elements at a time."""
    return tensor.stride(0) % 2 == 0 and tensor.data_ptr() % (2 * tensor.element_size()) == 0


def _stride(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)


def _index(tensor: Tensor) -> int:
    return tensor.device.index

"""What the CUDA kernels of the selective scan are launched with: branches, sizes, macros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CHANNELS = 32  # of a block in which a thread has one
MANY = 2  # channels of a thread where they suffice to fill a GPU
KEEP = 8  # steps between the states kept for the backward pass
FEWEST_BLOCKS = 768  # below, long sequences are cut: a GPU holds about half as many at a time
FEWEST_BLOCKS_OF_MANY = 256
SHORTEST_PART = 128
TYPES = {torch.float32: "float", torch.bfloat16: "bfloat16", torch.float16: "float16"}

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


def layout(branches: Sequence[Branch], rows: Sequence[Tensor], many: int) -> Macros:
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
        ("THREADS", threads_of(size)),
        ("BRANCHES", len(branches)),
        ("VECTOR", 1 + pairs),
        ("WEIGHT_VECTOR", 1 + (size % 2 == 0 and all(map(_even, weights)))),
        ("LOGARITHM", int(first.logarithm)),
        ("DELTA_TYPE", TYPES[first.delta.dtype]),
        ("B_TYPE", TYPES[first.B.dtype]),
        ("C_TYPE", TYPES[first.C.dtype]),
    )


def threads_of(size: int) -> int:
    wide = padded_size(size)
    return CHANNELS * wide // (8 if wide == 64 else 4)


def _even(tensor: Tensor) -> bool:
    """Tell whether rows can be read two elements at a time."""
    return tensor.stride(0) % 2 == 0 and tensor.data_ptr() % (2 * tensor.element_size()) == 0


def stride_of(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)


def device_index(tensor: Tensor) -> int:
    return tensor.device.index

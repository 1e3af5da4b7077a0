"""What the Triton kernels of the selective scan share: tiles, segments and packed inputs.

A tile is 16 steps of one sequence; one thread walks the 16 steps of one channel in registers, and
the 32 lanes of a warp hold 32 channels. Where the sequences and channels are too few to fill a
GPU, sequences are cut into segments of equally many tiles, which run at the same time after a
cheaper pass has found the state at their borders. Their number follows from the shapes alone, so
that the host never waits and two runs give the same bits.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._triton import LOG2E

STEPS = tl.constexpr(16)
LANES = tl.constexpr(32)

WARPS = 2048  # that fill a GPU
MIN_TILES = 4


def tiles_per_segment(tokens: int, sequences: int, blocks: int) -> int:
    """Tiles of a segment: all of a sequence if there are warps enough, else few enough for more."""
    tiles = max(1, triton.cdiv(tokens, STEPS.value))
    if 2 * sequences * blocks >= WARPS:
        return tiles
    return min(tiles, max(MIN_TILES, tiles * blocks // WARPS))


@triton.jit
def find_segment(segment_id, offsets_ptr, search_steps, num_sequences, TILES):
    """Sequence that owns `segment_id`, the segment's number in it, its first row and its length.

    Sequence i owns the ids from offsets[i] // (steps of a segment) + i: room for all its segments
    without reading lengths on the host. The last ids of a sequence may own no steps.
    """
    segment_steps = TILES * STEPS
    low = segment_id * 0
    high = low + num_sequences
    for _ in range(0, search_steps):
        middle = (low + high) // 2
        reached = tl.load(offsets_ptr + middle) // segment_steps + middle <= segment_id
        low = tl.where(reached, middle, low)
        high = tl.where(reached, high, middle)
    start = tl.load(offsets_ptr + low)
    length = (tl.load(offsets_ptr + low + 1) - start).to(tl.int32)
    segment = (segment_id - (start // segment_steps + low)).to(tl.int32)
    return low, segment, start, length


@triton.jit
def first_slot(start, sequence):
    """Slot of a sequence's first tile; one slot more than it has tiles is its own."""
    return start // STEPS + 2 * sequence


@triton.jit
def load_channels(ptr, offs_d, D):
    """One value per channel as float32, 0 where the tensor is None."""
    if ptr is None:
        values = tl.zeros((LANES,), tl.float32)
    else:
        values = tl.load(ptr + tl.minimum(offs_d, D - 1)).to(tl.float32)
    return values


@triton.jit
def channel_index(offs_d, D, WIDE: tl.constexpr):
    """Columns (1, 32) of a program's channels, the last one repeated, to index a row with.

    Told that it starts at any multiple of 1, a load or store takes one element per lane; wider
    ones would change the layout of every tile.
    """
    cols = tl.multiple_of(tl.max_contiguous(tl.minimum(offs_d, D - 1), LANES), 1)[None, :]
    return cols.to(tl.int64) if WIDE else cols.to(tl.int32)


@triton.jit
def row_index(rows_ptr, slot, WIDE: tl.constexpr):
    """Rows (16, 1) of a tile's steps, as integers that hold an offset into any sequence tensor."""
    rows = tl.load(rows_ptr + slot * STEPS + tl.arange(0, STEPS))[:, None]
    return rows.to(tl.int64) if WIDE else rows


@triton.jit
def load_rows(ptr, rows, stride, cols):
    """A tile (16, 32) of a (T, D) tensor as float32."""
    return tl.load(ptr + rows * stride + cols).to(tl.float32)


@triton.jit(do_not_specialize=["TILES"])
def _pack_kernel(
    B_ptr, C_ptr, perm_ptr, offsets_ptr, rows_ptr, BC_ptr, S, S_pad, stride_B, stride_C,
    search_steps, num_sequences, TILES,
    REVERSE: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0).to(tl.int64)
    seq, segment, start, length = find_segment(
        pid // TILES, offsets_ptr, search_steps, num_sequences, TILES
    )
    tile = segment * TILES + (pid % TILES).to(tl.int32)
    slot = first_slot(start, seq) + tile
    offs_t = tl.arange(0, STEPS)
    valid = offs_t + tile * STEPS < length
    if tile * STEPS < length:
        rows = tl.minimum(offs_t + tile * STEPS, length - 1)
        if REVERSE:
            rows = length - 1 - rows
        if perm_ptr is not None:
            rows = tl.load(perm_ptr + start + rows)
        rows = start + rows
        tl.store(rows_ptr + slot * STEPS + offs_t, rows.to(tl.int32))
        for n0 in range(0, S_pad, 16):
            offs_n = n0 + tl.arange(0, 16)
            mask = valid[:, None] & (offs_n < S)[None, :]
            B = tl.load(B_ptr + rows[:, None] * stride_B + offs_n[None, :], mask=mask, other=0.0)
            C = tl.load(C_ptr + rows[:, None] * stride_C + offs_n[None, :], mask=mask, other=0.0)
            place = ((slot * S_pad + offs_n) * 2 * STEPS)[None, :] + offs_t[:, None]
            inside = (valid | True)[:, None] & (offs_n < S_pad)[None, :]
            tl.store(BC_ptr + place, B.to(tl.float32), mask=inside)
            tl.store(BC_ptr + place + STEPS, C.to(tl.float32), mask=inside)


@dataclass(frozen=True)
class Packed:
    """Inputs as the kernels read them, and the sizes of what they share.

    `rows` (slots, 16) is the row of every step, the last one repeated after a sequence's end;
    `wide` says that an offset into one of the tensors it addresses may need 64 bits.
    `BC` (slots, S_pad, 2, 16) is float32 B and C by step, 0 after the end. `A2` (S_pad, width) is
    A log2(e) by channel, 0 in the padding.
    """

    rows: Tensor
    BC: Tensor
    A2: Tensor
    offsets: Tensor
    num_segments: int
    num_blocks: int
    tiles: int
    wide: bool

    @property
    def S_pad(self) -> int:
        return self.A2.shape[0]

    @property
    def search(self) -> tuple[Tensor, int, int]:
        """The kernels' arguments for `find_segment`."""
        num_sequences = len(self.offsets) - 1
        return self.offsets, max(0, num_sequences - 1).bit_length(), num_sequences

    @property
    def has_work(self) -> bool:
        """Whether any channel of any sequence exists; a launch of no programs is an error."""
        return self.num_segments * self.A2.numel() > 0

    @property
    def may_split(self) -> bool:
        """Whether a sequence can be long enough for a second segment."""
        return self.num_segments > len(self.offsets) - 1

    @property
    def num_carries(self) -> int:
        """Programs of a carry kernel: one per sequence, state and block of channels."""
        return (len(self.offsets) - 1) * self.S_pad * self.num_blocks

    def new_states(self, count: int) -> Tensor:
        """Float32 states (count, S_pad, width), not filled."""
        return self.BC.new_empty((count, *self.A2.shape))


def state_slots(tokens: int, sequences: int) -> int:
    """Places for the state before every tile and after the last one of every sequence."""
    return tokens // STEPS.value + 2 * sequences


def padded_states(states: int) -> int:
    """An even number of states: the kernels take two at a time."""
    return 2 * max(1, triton.cdiv(states, 2))


def padded_channels(channels: int) -> int:
    """Whole blocks of channels."""
    return triton.cdiv(channels, LANES.value) * LANES.value


def lanes_last(tensor: Tensor) -> Tensor:
    """`tensor` with its last axis contiguous in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def row_stride(tensor: Tensor | None) -> int:
    """Elements from one row to the next, 0 for None."""
    return 0 if tensor is None else tensor.stride(0)


def pack(
    sequences: tuple[Tensor | None, ...],
    A: Tensor,
    B: Tensor,
    C: Tensor,
    perm: Tensor | None,
    offsets: Tensor,
    reverse: bool,
) -> Packed:
    """Bring B, C, A and the order of the rows into the layout of the kernels.

    Args:
        sequences: The (T, D) tensors that the kernels will address by row.
        A: (D, S).
        B: (T, S).
        C: (T, S).
        perm: (T,) row inside its sequence of every step, or None.
        offsets: (sequences + 1,) on the device of the others; its values are not read here.
        reverse: Step from the last row to the first.
    """
    total, (width, S), num_sequences = len(B), A.shape, len(offsets) - 1
    num_slots = state_slots(total, num_sequences)
    num_blocks = triton.cdiv(width, LANES.value)
    tiles = tiles_per_segment(total, num_sequences, num_blocks)
    num_segments = total // (STEPS.value * tiles) + num_sequences
    A2 = A.new_zeros((padded_states(S), padded_channels(width)), dtype=torch.float32)
    torch.mul(A.t(), LOG2E.value, out=A2[:S, :width])
    packed = Packed(
        rows=B.new_empty((num_slots, STEPS.value), dtype=torch.int32),
        BC=B.new_empty((num_slots, len(A2), 2, STEPS.value), dtype=torch.float32),
        A2=A2,
        offsets=offsets,
        num_segments=num_segments,
        num_blocks=num_blocks,
        tiles=tiles,
        wide=total * max(width, *map(row_stride, sequences)) >= 2**31,
    )
    B, C = lanes_last(B), lanes_last(C)
    if num_segments:
        _pack_kernel[(num_segments * packed.tiles,)](
            *(B, C, perm, offsets, packed.rows, packed.BC, S, packed.S_pad),
            *(B.stride(0), C.stride(0), *packed.search[1:]),
            REVERSE=reverse,
            TILES=packed.tiles,
            num_warps=1,
        )
    return packed

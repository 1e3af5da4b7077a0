"""Where the Triton scan keeps what its kernels share: segments, tiles and packed B and C."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def find_segment(segment_id, offsets_ptr, search_steps, num_sequences, SEGMENT: tl.constexpr):
    """Sequence that owns `segment_id`, and the segment's number in it.

    Sequence i owns the ids from offsets[i] // SEGMENT + i: room for all its segments without
    reading lengths on the host. Ids past a sequence's end own no steps.
    """
    low = segment_id * 0
    high = low + num_sequences
    for _ in range(0, search_steps):
        middle = (low + high) // 2
        base = tl.load(offsets_ptr + middle) // SEGMENT + middle
        at_or_after = base <= segment_id
        low = tl.where(at_or_after, middle, low)
        high = tl.where(at_or_after, high, middle)
    start = tl.load(offsets_ptr + low)
    length = tl.load(offsets_ptr + low + 1) - start
    return low, segment_id - (start // SEGMENT + low), start, length


@triton.jit
def _pack_kernel(
    B_ptr, C_ptr, perm_ptr, offsets_ptr, rows_ptr, BC_ptr,
    S, S_pad, search_steps, num_sequences, stride_B, stride_C,
    REVERSE: tl.constexpr, T: tl.constexpr, TILES: tl.constexpr, BS: tl.constexpr,
):
    segment_id = tl.program_id(0).to(tl.int64)
    seq, segment, start, length = find_segment(segment_id, offsets_ptr, search_steps, num_sequences, T * TILES)
    offs_t = tl.arange(0, T)
    last = tl.minimum((segment + 1) * TILES, tl.cdiv(length, T))
    for tile in range(segment * TILES, last):
        slot = start // T + 2 * seq + tile
        steps = tile * T + offs_t
        valid = steps < length
        rows = tl.minimum(steps, length - 1)
        if REVERSE:
            rows = length - 1 - rows
        if perm_ptr is not None:
            rows = tl.load(perm_ptr + start + rows)
        tl.store(rows_ptr + slot * T + offs_t, rows.to(tl.int32))
        for n0 in range(0, S_pad, BS):
            offs_n = n0 + tl.arange(0, BS)
            mask = valid[:, None] & (offs_n < S)[None, :]
            B = tl.load(B_ptr + (start + rows)[:, None] * stride_B + offs_n[None, :], mask=mask, other=0.0)
            C = tl.load(C_ptr + (start + rows)[:, None] * stride_C + offs_n[None, :], mask=mask, other=0.0)
            place = (slot * 2 * S_pad + offs_n)[None, :] * T + offs_t[:, None]
            inside = (offs_n < S_pad)[None, :] & (offs_t >= 0)[:, None]
            tl.store(BC_ptr + place, B.to(tl.float32), mask=inside)
            tl.store(BC_ptr + place + S_pad * T, C.to(tl.float32), mask=inside)

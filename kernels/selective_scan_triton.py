"""Selective scan in Triton, forward.

A program owns a segment of one sequence and 32 channels, and walks its tiles. In a tile it takes
one state after the other through 16 steps in registers, so that neither the scan nor the sum over
states needs an exchange between threads. The state before every tile is kept for the backward pass,
and carries the scan from tile to tile.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._scan_pack_triton import (
    LANES,
    STEPS,
    channel_index,
    find_segment,
    first_slot,
    lanes_last,
    load_channels,
    load_rows,
    pack,
    padded_channels,
    padded_states,
    row_index,
    row_stride,
    state_slots,
)
from pcmamba.kernels._scan_segments_triton import carry_fwd_kernel, scan_steps
from pcmamba.kernels._triton import sigmoid, softplus
from pcmamba.kernels.selective_scan_bwd_triton import selective_scan_bwd

__all__ = ["checkpoint_shape", "selective_scan_bwd", "selective_scan_fwd"]


def checkpoint_shape(
    tokens: int, sequences: int, channels: int, states: int
) -> tuple[int, int, int]:
    """Return the shape of the states kept for the backward pass, one per tile of 16 steps."""
    return state_slots(tokens, sequences), padded_states(states), padded_channels(channels)


@triton.jit(do_not_specialize=["TILES"])
def _scan_fwd_kernel(
    u_ptr, delta_ptr, A2_ptr, BC_ptr, D_ptr, z_ptr, bias_ptr, rows_ptr, y_ptr, last_ptr, states_ptr,
    sums_ptr, D, S, S_pad, stride_u, stride_delta, stride_z, offsets_ptr, search_steps,
    num_sequences, TILES,
    SUMMARY: tl.constexpr, SOFTPLUS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Scan one segment of 32 channels from the state in its first slot.

    With SUMMARY scan from 0 every segment that another one follows, and leave its last state in
    the first slot of that one and its sum of steps in `sums`.
    """
    num_blocks = tl.cdiv(D, LANES)
    width = num_blocks * LANES
    pid = tl.program_id(0).to(tl.int64)
    segment_id = pid // num_blocks
    seq, segment, start, length = find_segment(
        segment_id, offsets_ptr, search_steps, num_sequences, TILES
    )
    num_tiles = tl.cdiv(length, STEPS)
    first = segment * TILES
    end = tl.minimum(first + TILES, num_tiles)
    is_last = end == num_tiles
    if SUMMARY:
        end = tl.where(is_last, first, end)

    offs_t = tl.arange(0, STEPS)
    offs_d = (pid % num_blocks) * LANES + tl.arange(0, LANES)
    cols = channel_index(offs_d, D, WIDE)
    mask_d = offs_d < D
    bias = load_channels(bias_ptr, offs_d, D)[None, :]
    skip = load_channels(D_ptr, offs_d, D)[None, :]
    sums = tl.zeros((LANES,), tl.float32)
    base_slot = first_slot(start, seq)
    states_ptr += offs_d
    if SUMMARY & (first < end):
        for n in range(0, S_pad):
            place_ptr = states_ptr + ((base_slot + end) * S_pad + n) * width
            tl.store(place_ptr, tl.zeros((LANES,), tl.float32))

    for tile in range(first, end):
        tl.debug_barrier()
        slot = base_slot + tile
        rows = row_index(rows_ptr, slot, WIDE)
        valid = (offs_t + tile * STEPS < length)[:, None]
        u = load_rows(u_ptr, rows, stride_u, cols)
        dt = load_rows(delta_ptr, rows, stride_delta, cols) + bias
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(valid, dt, 0.0)
        dtu = dt * u
        if SUMMARY:
            sums += tl.sum(dt, axis=0)
            source_ptr = states_ptr + (base_slot + end) * S_pad * width
            target_ptr = source_ptr
            keep = offs_d >= 0
        else:
            y = skip * u
            source_ptr = states_ptr + slot * S_pad * width
            target_ptr = source_ptr + S_pad * width
            keep = (offs_d >= 0) & ((tile + 1 < end) | is_last)
        for n0 in range(0, S_pad, 2):
            for j in tl.static_range(2):
                n = n0 + j
                A2 = tl.load(A2_ptr + n * width + offs_d)
                state = tl.load(source_ptr + n * width)
                BC = BC_ptr + (slot * S_pad + n) * 2 * STEPS + offs_t
                a = tl.exp2(dt * A2[None, :])
                h, state = scan_steps(a, dtu * tl.load(BC)[:, None], state)
                tl.store(target_ptr + n * width, state, mask=keep)
                if not SUMMARY:
                    y += h * tl.load(BC + STEPS)[:, None]
        if not SUMMARY:
            # Read again: kept in registers over the loop they would cost half of the occupancy.
            tl.debug_barrier()
            rows = row_index(rows_ptr, slot, WIDE)
            if z_ptr is not None:
                z = load_rows(z_ptr, rows, stride_z, cols)
                y *= z * sigmoid(z)
            mask = mask_d[None, :] & valid
            tl.store(y_ptr + rows * D + cols, y.to(y_ptr.dtype.element_ty), mask=mask)

    if SUMMARY:
        tl.store(sums_ptr + segment_id * width + offs_d, sums)
    else:
        tl.debug_barrier()
        if is_last & ((first < end) | (segment == 0)):
            for n in range(0, S):
                state = tl.load(states_ptr + ((base_slot + num_tiles) * S_pad + n) * width)
                tl.store(last_ptr + (seq * D + offs_d) * S + n, state, mask=mask_d)


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

    Args:
        u: (T, D), rows of any stride, like delta and z.
        delta: (T, D).
        A: (D, S) float32.
        B: (T, S), rows of any stride, like C.
        C: (T, S).
        D: (D,) or None.
        z: (T, D) or None.
        delta_bias: (D,) or None.
        initial_state: (sequences, D, S) or None for 0.
        perm: (T,) int64, row inside its sequence of every step, or None.
        offsets: (sequences + 1,) int64.
        delta_softplus: Map the steps through softplus.
        reverse: Step from the last row to the first.

    Returns:
        y: (T, D) in the dtype of `u`.
        last_state: (sequences, D, S) float32.
        checkpoints: float32 state before every tile of 16 steps, for the backward pass.
    """
    with torch.cuda.device_of(u):
        u, delta, z = lanes_last(u), lanes_last(delta), None if z is None else lanes_last(z)
        packed = pack((u, delta, z), A, B, C, perm, offsets, reverse)
        y = torch.empty(u.shape, dtype=u.dtype, device=u.device)
        last_state = y.new_empty((len(offsets) - 1, *A.shape), dtype=torch.float32)
        states = packed.new_states(len(packed.rows))
        sums = states.new_empty((packed.num_segments, packed.A2.shape[1]))
        scan = partial(
            _scan_fwd_kernel[(packed.num_segments * packed.num_blocks,)],
            *(u, delta, packed.A2, packed.BC, D, z, delta_bias, packed.rows),
            *(y, last_state, states, sums, *A.shape, packed.S_pad),
            *map(row_stride, (u, delta, z)),
            *packed.search,
            SOFTPLUS=delta_softplus,
            WIDE=packed.wide,
            TILES=packed.tiles,
            num_warps=1,
        )
        if packed.has_work:
            if packed.may_split:
                scan(SUMMARY=True)
            carry_fwd_kernel[(packed.num_carries,)](
                *(packed.A2, None if initial_state is None else initial_state.contiguous()),
                *(states, sums, offsets, *A.shape, packed.S_pad, packed.tiles),
                num_warps=1,
            )
            scan(SUMMARY=False)
    return y, last_state, states

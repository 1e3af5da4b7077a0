"""Forward pass of the selective scan in Triton."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._triton import pick, sigmoid, softplus
from pcmamba.kernels.selective_scan_pack_triton import (
    LANES,
    STEPS,
    channel_index,
    find_segment,
    first_slot,
    lanes_last,
    load_channels,
    load_rows,
    pack,
    row_index,
    row_stride,
)


@triton.jit
def _scan_steps(a, b, state):
    """The recurrence h = a h + b over the 16 rows, every row a step; returns all h and the last."""
    offs_t = tl.arange(0, STEPS)[:, None]
    h = b
    for t in tl.static_range(STEPS):
        chosen = offs_t == t
        state = pick(a, chosen, 0) * state + pick(b, chosen, 0)
        h = tl.where(chosen, state[None, :], h)
    return h, state


@triton.jit
def _scan_fwd_kernel(
    u_ptr,
    delta_ptr,
    A2_ptr,
    BC_ptr,
    D_ptr,
    z_ptr,
    bias_ptr,
    rows_ptr,
    y_ptr,
    last_ptr,
    states_ptr,
    sums_ptr,
    D,
    S,
    S_pad,
    stride_u,
    stride_delta,
    stride_z,
    offsets_ptr,
    search_steps,
    num_sequences,
    SUMMARY: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    WIDE: tl.constexpr,
    TILES: tl.constexpr,
):
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
                h, state = _scan_steps(a, dtu * tl.load(BC)[:, None], state)
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


@triton.jit
def _carry_fwd_kernel(
    A2_ptr,
    initial_ptr,
    states_ptr,
    sums_ptr,
    offsets_ptr,
    D,
    S,
    S_pad,
    TILES: tl.constexpr,
):
    """Turn what every segment adds to the state into the state before every segment."""
    num_blocks = tl.cdiv(D, LANES)
    width = num_blocks * LANES
    pid = tl.program_id(0).to(tl.int64)
    n = pid % S_pad
    offs_d = (pid // S_pad) % num_blocks * LANES + tl.arange(0, LANES)
    seq = pid // (S_pad * num_blocks)
    start = tl.load(offsets_ptr + seq)
    length = (tl.load(offsets_ptr + seq + 1) - start).to(tl.int32)
    segment_id = start // (TILES * STEPS) + seq

    state = tl.zeros((LANES,), tl.float32)
    if initial_ptr is not None:
        mask = (offs_d < D) & (n < S)
        state = tl.load(initial_ptr + (seq * D + offs_d) * S + n, mask=mask, other=0.0)
    A2 = tl.load(A2_ptr + n * width + offs_d)
    place_ptr = states_ptr + (first_slot(start, seq) * S_pad + n) * width + offs_d
    tl.store(place_ptr, state.to(tl.float32))
    for segment in range(1, tl.cdiv(length, TILES * STEPS)):
        place_ptr += TILES * S_pad * width
        sums = tl.load(sums_ptr + (segment_id + segment - 1) * width + offs_d)
        state = tl.exp2(A2 * sums) * state + tl.load(place_ptr)
        tl.store(place_ptr, state.to(tl.float32))


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
            _carry_fwd_kernel[(packed.num_carries,)](
                *(packed.A2, None if initial_state is None else initial_state.contiguous()),
                *(states, sums, offsets, *A.shape, packed.S_pad, packed.tiles),
                num_warps=1,
            )
            scan(SUMMARY=False)
    return y, last_state, states

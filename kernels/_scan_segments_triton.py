"""Triton kernels that let the segments of a sequence be scanned at the same time.

What a segment leaves behind follows from its own steps and the state before it: a first pass finds
the former from 0, and a carry kernel walks the segments of a sequence. The backward pass does the
same from the other end.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from pcmamba.kernels._scan_pack_triton import (
    LANES,
    STEPS,
    channel_index,
    find_segment,
    first_slot,
    load_channels,
    load_rows,
    row_index,
)
from pcmamba.kernels._triton import pick, sigmoid, softplus


@triton.jit
def scan_steps(a, b, state):
    """The recurrence h = a h + b over the 16 rows, every row a step; returns all h and the last."""
    offs_t = tl.arange(0, STEPS)[:, None]
    h = b
    for t in tl.static_range(STEPS):
        chosen = offs_t == t
        state = pick(a, chosen, 0) * state + pick(b, chosen, 0)
        h = tl.where(chosen, state[None, :], h)
    return h, state


@triton.jit
def scan_steps_keep(a, b, state):
    """The recurrence h = a h + b over the 16 rows; returns all h and, for each, the h before it."""
    offs_t = tl.arange(0, STEPS)[:, None]
    h = b
    before = b
    for t in tl.static_range(STEPS):
        chosen = offs_t == t
        before = tl.where(chosen, state[None, :], before)
        state = pick(a, chosen, 0) * state + pick(b, chosen, 0)
        h = tl.where(chosen, state[None, :], h)
    return h, before


@triton.jit
def scan_steps_back(a, e, carried):
    """The recurrence g = e + q, q = a g over the rows from the last; returns all g, q, first q."""
    offs_t = tl.arange(0, STEPS)[:, None]
    g = e
    q = e
    for t in tl.static_range(STEPS):
        chosen = offs_t == STEPS - 1 - t
        grad = pick(e, chosen, 0) + carried
        carried = pick(a, chosen, 0) * grad
        g = tl.where(chosen, grad[None, :], g)
        q = tl.where(chosen, carried[None, :], q)
    return g, q, carried


@triton.jit(do_not_specialize=["TILES"])
def carry_fwd_kernel(
    A2_ptr, initial_ptr, states_ptr, sums_ptr, offsets_ptr, D, S, S_pad, TILES,
):  # fmt: skip
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


@triton.jit(do_not_specialize=["TILES"])
def summary_bwd_kernel(
    gy_ptr, delta_ptr, A2_ptr, BC_ptr, z_ptr, bias_ptr, rows_ptr, grads_ptr, sums_ptr, D, S_pad,
    stride_gy, stride_delta, stride_z, offsets_ptr, search_steps, num_sequences, TILES,
    SOFTPLUS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Gradient that a segment alone sends to the state before it, and its sum of steps.

    The gradient goes into the place of the segment before; a sequence's first segment sends none.
    """
    num_blocks = tl.cdiv(D, LANES)
    width = num_blocks * LANES
    pid = tl.program_id(0).to(tl.int64)
    segment_id = pid // num_blocks
    seq, segment, start, length = find_segment(
        segment_id, offsets_ptr, search_steps, num_sequences, TILES
    )
    first = segment * TILES
    end = tl.minimum(first + TILES, tl.cdiv(length, STEPS))
    end = tl.where(segment == 0, first, end)

    offs_t = tl.arange(0, STEPS)
    offs_d = (pid % num_blocks) * LANES + tl.arange(0, LANES)
    mask_d = (offs_d < D)[None, :]
    cols = channel_index(offs_d, D, WIDE)
    bias = load_channels(bias_ptr, offs_d, D)[None, :]
    sums = tl.zeros((LANES,), tl.float32)
    carried_ptr = grads_ptr + (segment_id - 1) * S_pad * width + offs_d
    if first < end:
        for n in range(0, S_pad):
            tl.store(carried_ptr + n * width, tl.zeros((LANES,), tl.float32))

    for back in range(0, end - first):
        tl.debug_barrier()
        tile = end - 1 - back
        slot = first_slot(start, seq) + tile
        rows = row_index(rows_ptr, slot, WIDE)
        valid = (offs_t + tile * STEPS < length)[:, None]
        gy = tl.where(valid & mask_d, load_rows(gy_ptr, rows, stride_gy, cols), 0.0)
        if z_ptr is not None:
            z = load_rows(z_ptr, rows, stride_z, cols)
            gy *= z * sigmoid(z)
        dt = load_rows(delta_ptr, rows, stride_delta, cols) + bias
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(valid, dt, 0.0)
        sums += tl.sum(dt, axis=0)
        for n0 in range(0, S_pad, 2):
            for j in tl.static_range(2):
                n = n0 + j
                A2 = tl.load(A2_ptr + n * width + offs_d)
                C = tl.load(BC_ptr + ((slot * S_pad + n) * 2 + 1) * STEPS + offs_t)
                sent = tl.load(carried_ptr + n * width)
                a = tl.exp2(dt * A2[None, :])
                _, _, sent = scan_steps_back(a, gy * C[:, None], sent)
                tl.store(carried_ptr + n * width, sent)
    tl.store(sums_ptr + segment_id * width + offs_d, sums)


@triton.jit(do_not_specialize=["TILES"])
def carry_bwd_kernel(
    A2_ptr, grad_last_ptr, grads_ptr, sums_ptr, offsets_ptr, D, S, S_pad, TILES,
):  # fmt: skip
    """Turn what every segment sends back into the gradient of the state after every segment."""
    num_blocks = tl.cdiv(D, LANES)
    width = num_blocks * LANES
    pid = tl.program_id(0).to(tl.int64)
    n = pid % S_pad
    offs_d = (pid // S_pad) % num_blocks * LANES + tl.arange(0, LANES)
    seq = pid // (S_pad * num_blocks)
    start = tl.load(offsets_ptr + seq)
    length = (tl.load(offsets_ptr + seq + 1) - start).to(tl.int32)
    num_segments = tl.maximum(tl.cdiv(length, TILES * STEPS), 1)

    q = tl.zeros((LANES,), tl.float32)
    if grad_last_ptr is not None:
        mask = (offs_d < D) & (n < S)
        q = tl.load(grad_last_ptr + (seq * D + offs_d) * S + n, mask=mask, other=0.0)
    A2 = tl.load(A2_ptr + n * width + offs_d)
    segment_id = start // (TILES * STEPS) + seq + num_segments - 1
    tl.store(grads_ptr + (segment_id * S_pad + n) * width + offs_d, q.to(tl.float32))
    for _ in range(1, num_segments):
        sums = tl.load(sums_ptr + segment_id * width + offs_d)
        segment_id -= 1
        place_ptr = grads_ptr + (segment_id * S_pad + n) * width + offs_d
        q = tl.exp2(A2 * sums) * q + tl.load(place_ptr)
        tl.store(place_ptr, q.to(tl.float32))

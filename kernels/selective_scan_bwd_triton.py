"""Backward pass of the selective scan in Triton, without atomics.

With gated gradients gy_t silu(z_t) = f_t, g_t = C_t f_t + q_{t+1} is the gradient of the state h_t
and q_t = a_t g_t what it sends to the step before. Then dA = sum over steps of dt q_t h_{t-1},
ddt = sum over states of A q_t h_{t-1} + B u g_t, du = dt (sum over states of B g) + D f,
dB = sum over channels of dt u g, dC = sum over channels of f h.
A tile starts again from its checkpoint. Sums over channels leave every block of 32 channels as
partial sums, added in a fixed order afterwards.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._scan_pack_triton import (
    LANES,
    STEPS,
    Packed,
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
from pcmamba.kernels._scan_segments_triton import (
    carry_bwd_kernel,
    scan_steps_back,
    scan_steps_keep,
    summary_bwd_kernel,
)
from pcmamba.kernels._triton import LN2, sigmoid, softplus, sum_rows


@triton.jit(do_not_specialize=["TILES"])
def _scan_bwd_kernel(
    gy_ptr, u_ptr, delta_ptr, z_ptr, A2_ptr, BC_ptr, D_ptr, bias_ptr, rows_ptr, states_ptr, du_ptr,
    ddelta_ptr, dz_ptr, dBC_ptr, dA_ptr, dD_ptr, dbias_ptr, grads_ptr, D, S_pad, num_slots,
    stride_gy, stride_u, stride_delta, stride_z, offsets_ptr, search_steps, num_sequences, TILES,
    SOFTPLUS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Gradients of one segment of 32 channels, tile by tile from the last."""
    num_blocks = tl.cdiv(D, LANES)
    width = num_blocks * LANES
    pid = tl.program_id(0).to(tl.int64)
    segment_id = pid // num_blocks
    seq, segment, start, length = find_segment(
        segment_id, offsets_ptr, search_steps, num_sequences, TILES
    )
    first = segment * TILES
    end = tl.minimum(first + TILES, tl.cdiv(length, STEPS))

    offs_t = tl.arange(0, STEPS)
    offs_d = (pid % num_blocks) * LANES + tl.arange(0, LANES)
    mask_d = (offs_d < D)[None, :]
    cols = channel_index(offs_d, D, WIDE)
    dD = tl.zeros((LANES,), tl.float32)
    dbias = tl.zeros((LANES,), tl.float32)
    private = segment_id * S_pad * width + offs_d

    for back in range(0, end - first):
        tl.debug_barrier()
        tile = end - 1 - back
        slot = first_slot(start, seq) + tile
        rows = row_index(rows_ptr, slot, WIDE)
        valid = (offs_t + tile * STEPS < length)[:, None]
        mask = valid & mask_d
        u = load_rows(u_ptr, rows, stride_u, cols)
        gy = tl.where(mask, load_rows(gy_ptr, rows, stride_gy, cols), 0.0)
        if z_ptr is not None:
            z = load_rows(z_ptr, rows, stride_z, cols)
            gy *= z * sigmoid(z)
            y = tl.zeros((STEPS, LANES), tl.float32)
        dt = load_rows(delta_ptr, rows, stride_delta, cols)
        dt += load_channels(bias_ptr, offs_d, D)[None, :]
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(valid, dt, 0.0)
        dtu = dt * u
        by_A = tl.zeros((STEPS, LANES), tl.float32)
        by_B = tl.zeros((STEPS, LANES), tl.float32)
        block_slot = (pid % num_blocks) * num_slots + slot
        for n in range(0, S_pad):
            A2 = tl.load(A2_ptr + n * width + offs_d)
            state = tl.load(states_ptr + (slot * S_pad + n) * width + offs_d)
            sent = tl.load(grads_ptr + private + n * width)
            B_ptr = BC_ptr + (slot * S_pad + n) * 2 * STEPS + offs_t
            dB_ptr = dBC_ptr + (block_slot * S_pad + n) * 2 * STEPS + offs_t
            a = tl.exp2(dt * A2[None, :])
            h, before = scan_steps_keep(a, dtu * tl.load(B_ptr)[:, None], state)
            # Loads between stores stay there: all at the top they would need too many registers.
            tl.store(dB_ptr + STEPS, sum_rows(gy * h))
            C = tl.load(B_ptr + STEPS)[:, None]
            if z_ptr is not None:
                y += C * h
            g, q, sent = scan_steps_back(a, gy * C, sent)
            tl.store(grads_ptr + private + n * width, sent)
            decayed = q * before
            by_A += A2[None, :] * decayed
            dA = tl.load(dA_ptr + private + n * width)
            tl.store(dA_ptr + private + n * width, dA + tl.sum(dt * decayed, axis=0))
            by_B += tl.load(B_ptr)[:, None] * g
            tl.store(dB_ptr, sum_rows(g * dtu))

        # Read again, one output at a time: more at once would need too many registers.
        tl.debug_barrier()
        rows = row_index(rows_ptr, slot, WIDE)
        u = load_rows(u_ptr, rows, stride_u, cols)
        skip = load_channels(D_ptr, offs_d, D)[None, :]
        dD += tl.sum(gy * u, axis=0)
        du = dt * by_B + skip * gy
        tl.store(du_ptr + rows * D + cols, du.to(du_ptr.dtype.element_ty), mask=mask)
        tl.debug_barrier()
        rows = row_index(rows_ptr, slot, WIDE)
        ddelta = by_A * LN2 + by_B * u
        if SOFTPLUS:
            dt = load_rows(delta_ptr, rows, stride_delta, cols)
            ddelta *= sigmoid(dt + load_channels(bias_ptr, offs_d, D)[None, :])
        ddelta = tl.where(mask, ddelta, 0.0)
        dbias += tl.sum(ddelta, axis=0)
        tl.store(ddelta_ptr + rows * D + cols, ddelta.to(ddelta_ptr.dtype.element_ty), mask=mask)
        if z_ptr is not None:
            y += skip * u
            tl.debug_barrier()
            rows = row_index(rows_ptr, slot, WIDE)
            z = load_rows(z_ptr, rows, stride_z, cols)
            open_gate = sigmoid(z)
            dz = load_rows(gy_ptr, rows, stride_gy, cols) * y
            dz *= open_gate * (1.0 + z * (1.0 - open_gate))
            tl.store(dz_ptr + rows * D + cols, dz.to(dz_ptr.dtype.element_ty), mask=mask)
    tl.store(dD_ptr + segment_id * width + offs_d, dD)
    tl.store(dbias_ptr + segment_id * width + offs_d, dbias)


@triton.jit(do_not_specialize=["TILES"])
def _add_blocks_kernel(
    dBC_ptr, rows_ptr, dB_ptr, dC_ptr, S, S_pad, num_slots, num_blocks, offsets_ptr, search_steps,
    num_sequences, TILES,
):  # fmt: skip
    """Add the partial sums of one tile over the blocks of channels, in order, into its rows."""
    pid = tl.program_id(0).to(tl.int64)
    seq, segment, start, length = find_segment(
        pid // TILES, offsets_ptr, search_steps, num_sequences, TILES
    )
    tile = segment * TILES + (pid % TILES).to(tl.int32)
    slot = first_slot(start, seq) + tile
    offs_t = tl.arange(0, STEPS)[None, :]
    valid = offs_t + tile * STEPS < length
    if tile * STEPS < length:
        rows = tl.load(rows_ptr + slot * STEPS + offs_t).to(tl.int64)
        for n0 in range(0, S_pad, 16):
            offs_n = n0 + tl.arange(0, 16)[:, None]
            mask = valid & (offs_n < S)
            part_ptr = dBC_ptr + (slot * S_pad + offs_n) * 2 * STEPS + offs_t
            dB = tl.zeros((16, STEPS), tl.float32)
            dC = tl.zeros((16, STEPS), tl.float32)
            for _ in range(0, num_blocks):
                dB += tl.load(part_ptr, mask=mask, other=0.0)
                dC += tl.load(part_ptr + STEPS, mask=mask, other=0.0)
                part_ptr += num_slots * S_pad * 2 * STEPS
            tl.store(dB_ptr + rows * S + offs_n, dB.to(dB_ptr.dtype.element_ty), mask=mask)
            tl.store(dC_ptr + rows * S + offs_n, dC.to(dC_ptr.dtype.element_ty), mask=mask)


def _carry_back(
    packed: Packed,
    sequences: tuple[Tensor, Tensor, Tensor | None],
    delta_bias: Tensor | None,
    grad_last_state: Tensor | None,
    shape: tuple[int, int],
    delta_softplus: bool,
) -> Tensor:
    """Gradient (segments, S_pad, width) of the state after every segment."""
    grads = packed.new_states(packed.num_segments)
    if not packed.has_work:
        return grads
    gy, delta, z = sequences
    sums = grads.new_empty((packed.num_segments, grads.shape[2]))
    if packed.may_split:
        summary_bwd_kernel[(packed.num_segments * packed.num_blocks,)](
            *(gy, delta, packed.A2, packed.BC, z, delta_bias, packed.rows, grads, sums),
            *(shape[0], packed.S_pad, gy.stride(0), delta.stride(0), row_stride(z)),
            *packed.search,
            SOFTPLUS=delta_softplus,
            WIDE=packed.wide,
            TILES=packed.tiles,
            num_warps=1,
        )
    carry_bwd_kernel[(packed.num_carries,)](
        *(packed.A2, None if grad_last_state is None else grad_last_state.contiguous()),
        *(grads, sums, packed.offsets, *shape, packed.S_pad, packed.tiles),
        num_warps=1,
    )
    return grads


def _add_blocks(packed: Packed, dBC: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    dB = torch.empty(B.shape, dtype=B.dtype, device=B.device)
    dC = torch.empty(C.shape, dtype=C.dtype, device=C.device)
    if packed.num_segments:
        _add_blocks_kernel[(packed.num_segments * packed.tiles,)](
            *(dBC, packed.rows, dB, dC, B.shape[1], packed.S_pad),
            *(len(packed.rows), packed.num_blocks, *packed.search),
            TILES=packed.tiles,
            num_warps=1,
        )
    return dB, dC


def _channel_sums(partial_sums: Tensor, like: Tensor | None, width: int) -> Tensor:
    if like is None:
        return partial_sums.new_empty(0)
    return partial_sums.sum(0)[:width].to(like.dtype)


def _grad_initial(packed: Packed, grads: Tensor, initial_state: Tensor | None) -> Tensor:
    """Each sequence's first segment holds the gradient of its initial state by now."""
    if initial_state is None:
        return grads.new_empty(0)
    starts = packed.offsets[:-1] // (STEPS.value * packed.tiles)
    first = starts + torch.arange(len(starts), device=starts.device)
    _, width, S = initial_state.shape
    return grads[first, :S, :width].transpose(1, 2).to(initial_state.dtype).contiguous()


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
    checkpoints: Tensor,
    delta_softplus: bool,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """Gradients of `selective_scan_fwd`.

    Args:
        grad_y: (T, D).
        grad_last_state: (sequences, D, S) or None for 0.
        u: As in the forward pass, like everything below it.
        delta: (T, D).
        A: (D, S) float32.
        B: (T, S).
        C: (T, S).
        D: (D,) or None.
        z: (T, D) or None.
        delta_bias: (D,) or None.
        initial_state: (sequences, D, S) or None.
        perm: (T,) or None.
        offsets: (sequences + 1,) int64.
        checkpoints: What the forward pass returned.
        delta_softplus: As in the forward pass.
        reverse: As in the forward pass.

    Returns:
        Gradients of u, delta, A, B, C, D, z, delta_bias and initial_state in their dtypes; an
        empty tensor where the input was None.
    """
    with torch.cuda.device_of(u):
        gy, u, delta = lanes_last(grad_y), lanes_last(u), lanes_last(delta)
        z = None if z is None else lanes_last(z)
        width, S = A.shape
        packed = pack((gy, u, delta, z), A, B, C, perm, offsets, reverse)
        grads = _carry_back(
            packed, (gy, delta, z), delta_bias, grad_last_state, (width, S), delta_softplus
        )
        du, ddelta, dz = (
            u.new_empty(0) if t is None else torch.empty(t.shape, dtype=t.dtype, device=t.device)
            for t in (u, delta, z)
        )
        dA = torch.zeros_like(grads)
        dD, dbias = torch.empty_like(grads[:, 0]), torch.empty_like(grads[:, 0])
        dBC = packed.BC.new_empty((packed.num_blocks, *packed.BC.shape))
        if packed.has_work:
            _scan_bwd_kernel[(packed.num_segments * packed.num_blocks,)](
                *(gy, u, delta, z, packed.A2, packed.BC, D, delta_bias, packed.rows, checkpoints),
                *(du, ddelta, dz, dBC, dA, dD, dbias, grads),
                *(width, packed.S_pad, len(packed.rows), *map(row_stride, (gy, u, delta, z))),
                *packed.search,
                SOFTPLUS=delta_softplus,
                WIDE=packed.wide,
                TILES=packed.tiles,
                num_warps=1,
            )
        dB, dC = _add_blocks(packed, dBC, B, C)
    return (
        du,
        ddelta,
        dA.sum(0)[:S, :width].t().contiguous(),
        dB,
        dC,
        _channel_sums(dD, D, width),
        dz,
        _channel_sums(dbias, delta_bias, width),
        _grad_initial(packed, grads, initial_state),
    )

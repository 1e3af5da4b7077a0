from __future__ import annotations

import triton
import triton.language as tl

from pcmamba.kernels._triton import pick_row, sigmoid, softplus
from pcmamba.kernels.selective_scan_layout_triton import find_segment


@triton.jit
def decay_then_add(a_left, b_left, a_right, b_right):
    """Compose two steps h -> a h + b, the left one first."""
    return a_left * a_right, a_right * b_left + b_right


@triton.jit
def _scan_fwd_kernel(
    u_ptr, delta_ptr, A2_ptr, BC_ptr, D_ptr, z_ptr, bias_ptr, rows_ptr, offsets_ptr,
    y_ptr, last_ptr, ckpt_ptr, sum_ptr,
    D, S, S_pad, search_steps, num_sequences,
    stride_u, stride_delta, stride_z,
    SUMMARY: tl.constexpr, SOFTPLUS: tl.constexpr,
    T: tl.constexpr, TILES: tl.constexpr, BD: tl.constexpr, UNROLL: tl.constexpr,
):
    num_blocks = tl.cdiv(D, BD)
    width = num_blocks * BD
    pid = tl.program_id(0).to(tl.int64)
    segment_id = pid // num_blocks
    seq, segment, start, length = find_segment(segment_id, offsets_ptr, search_steps, num_sequences, T * TILES)
    num_tiles = tl.cdiv(length, T)
    first = segment * TILES
    last = tl.minimum(first + TILES, num_tiles)
    if SUMMARY:
        last = tl.where(last == num_tiles, first, last)

    offs_t = tl.arange(0, T)
    offs_d = (pid % num_blocks) * BD + tl.arange(0, BD)
    mask_d = offs_d < D
    cols = tl.max_contiguous(tl.minimum(offs_d, D - 1), 1)
    is_first = offs_t[:, None] == 0
    is_last = offs_t[:, None] == T - 1
    bias = tl.zeros((BD,), tl.float32)
    if bias_ptr is not None:
        bias = tl.load(bias_ptr + cols).to(tl.float32)
    skip = tl.zeros((BD,), tl.float32)
    if D_ptr is not None:
        skip = tl.load(D_ptr + cols).to(tl.float32)
    dt_sum = tl.zeros((BD,), tl.float32)
    state_ptr = ckpt_ptr + (start // T + 2 * seq) * S_pad * width + offs_d
    if SUMMARY:
        if first < last:
            for n in range(0, S_pad):
                tl.store(state_ptr + (last * S_pad + n) * width, tl.zeros((BD,), tl.float32))

    for tile in range(first, last):
        tl.debug_barrier()
        slot = start // T + 2 * seq + tile
        rows = tl.load(rows_ptr + slot * T + offs_t)[:, None].to(tl.int64)
        valid = (tile * T + offs_t < length)[:, None]
        u = tl.load(u_ptr + start * stride_u + rows * stride_u + cols[None, :]).to(tl.float32)
        dt = tl.load(delta_ptr + start * stride_delta + rows * stride_delta + cols[None, :]).to(tl.float32)
        dt += bias[None, :]
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(valid, dt, 0.0)
        dtu = dt * u
        if SUMMARY:
            dt_sum += tl.sum(dt, axis=0)
            source_ptr = state_ptr + last * S_pad * width
            target_ptr = source_ptr
        else:
            y = skip[None, :] * u
            source_ptr = state_ptr + tile * S_pad * width
            target_ptr = source_ptr + S_pad * width
        keep = (tile + 1 < last) | (last == num_tiles) | SUMMARY
        for n0 in range(0, S_pad, UNROLL):
            for j in tl.static_range(UNROLL):
                n = n0 + j
                A2 = tl.load(A2_ptr + n * width + offs_d)
                h0 = tl.load(source_ptr + n * width)
                Bn = tl.load(BC_ptr + (slot * 2 * S_pad + n) * T + offs_t)[:, None]
                a = tl.exp2(dt * A2[None, :])
                b = dtu * Bn
                b = tl.where(is_first, a * h0[None, :] + b, b)
                _, h = tl.associative_scan((a, b), 0, decay_then_add)
                tl.store(target_ptr + n * width, pick_row(h, is_last), mask=(offs_d >= 0) & keep)
                if not SUMMARY:
                    Cn = tl.load(BC_ptr + (slot * 2 * S_pad + S_pad + n) * T + offs_t)[:, None]
                    y += h * Cn
        if not SUMMARY:
            if z_ptr is not None:
                z = tl.load(z_ptr + start * stride_z + rows * stride_z + cols[None, :]).to(tl.float32)
                y *= z * sigmoid(z)
            tl.store(y_ptr + start * D + rows * D + cols[None, :], y.to(y_ptr.dtype.element_ty), mask=mask_d[None, :] & valid)

    if SUMMARY:
        tl.store(sum_ptr + segment_id * width + offs_d, dt_sum)
    else:
        tl.debug_barrier()
        if (last == num_tiles) & ((first < last) | (segment == 0)):
            for n in range(0, S):
                h = tl.load(state_ptr + (num_tiles * S_pad + n) * width)
                tl.store(last_ptr + (seq * D + offs_d) * S + n, h, mask=mask_d)

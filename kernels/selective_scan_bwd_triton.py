from __future__ import annotations

import triton
import triton.language as tl

from pcmamba.kernels._triton import LN2, pick_row, sigmoid, softplus
from pcmamba.kernels.selective_scan_layout_triton import find_segment


@triton.jit
def decay_then_add_keep(a_left, p_left, h_left, a_right, p_right, h_right):
    """Compose steps h -> a h + b and keep p, the last step's a h: h - b would cancel."""
    return a_left * a_right, a_right * h_left + p_right, a_right * h_left + h_right


@triton.jit
def add_then_decay_keep(a_left, w_left, q_left, g_left, a_right, w_right, q_right, g_right):
    """Compose steps q -> a (q + e) and keep g, the last step's q + e; w is a without that step."""
    return (
        a_left * a_right,
        a_left * w_right,
        a_right * q_left + q_right,
        w_right * q_left + g_right,
    )

@triton.jit
def add_column_sum(total, tile, chosen, MODE: tl.constexpr):
    if MODE == 0:
        return total + tl.where(chosen, tl.sum(tile, axis=1)[:, None], 0.0)
    else:
        bits = (tile.to(tl.int32, bitcast=True) + 0x1000) & -0x2000
        high = bits.to(tl.float32, bitcast=True)
        total = tl.dot(high, chosen, total, input_precision="tf32")
        return tl.dot(tile - high, chosen, total, input_precision="tf32")


@triton.jit
def _scan_bwd_kernel(
    gy_ptr, u_ptr, delta_ptr, A2_ptr, BC_ptr, D_ptr, z_ptr, bias_ptr, rows_ptr, offsets_ptr, ckpt_ptr,
    du_ptr, ddelta_ptr, dz_ptr, dBC_ptr, dA_ptr, dD_ptr, dbias_ptr, q_ptr,
    D, S_pad, search_steps, num_sequences, num_slots,
    stride_gy, stride_u, stride_delta, stride_z,
    SOFTPLUS: tl.constexpr, T: tl.constexpr, TILES: tl.constexpr, BD: tl.constexpr, BS: tl.constexpr, UNROLL: tl.constexpr, MODE: tl.constexpr
):
    num_blocks = tl.cdiv(D, BD)
    width = num_blocks * BD
    pid = tl.program_id(0).to(tl.int64)
    segment_id = pid // num_blocks
    seq, segment, start, length = find_segment(segment_id, offsets_ptr, search_steps, num_sequences, T * TILES)
    num_tiles = tl.cdiv(length, T)
    first = segment * TILES
    last = tl.minimum(first + TILES, num_tiles)

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
    dD = tl.zeros((BD,), tl.float32)
    dbias = tl.zeros((BD,), tl.float32)
    private = segment_id * S_pad * width + offs_d

    for tile in range(last - 1, first - 1, -1):
        tl.debug_barrier()
        slot = start // T + 2 * seq + tile
        rows = tl.load(rows_ptr + slot * T + offs_t)[:, None].to(tl.int64)
        valid = (tile * T + offs_t < length)[:, None]
        u = tl.load(u_ptr + start * stride_u + rows * stride_u + cols[None, :]).to(tl.float32)
        gy = tl.load(gy_ptr + start * stride_gy + rows * stride_gy + cols[None, :]).to(tl.float32)
        gy = tl.where(valid & mask_d[None, :], gy, 0.0)
        dt = tl.load(delta_ptr + start * stride_delta + rows * stride_delta + cols[None, :]).to(tl.float32)
        dt += bias[None, :]
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(valid, dt, 0.0)
        dtu = dt * u
        if z_ptr is not None:
            z = tl.load(z_ptr + start * stride_z + rows * stride_z + cols[None, :]).to(tl.float32)
            gy *= z * sigmoid(z)
            y = tl.zeros((T, BD), tl.float32)
        by_A = tl.zeros((T, BD), tl.float32)
        by_B = tl.zeros((T, BD), tl.float32)
        for n0 in range(0, S_pad, BS):
            dB = tl.zeros((T, BS), tl.float32)
            dC = tl.zeros((T, BS), tl.float32)
            for n1 in range(n0, tl.minimum(n0 + BS, S_pad), UNROLL):
                for j in tl.static_range(UNROLL):
                    n = n1 + j
                    A2 = tl.load(A2_ptr + n * width + offs_d)[None, :]
                    h0 = tl.load(ckpt_ptr + (slot * S_pad + n) * width + offs_d)[None, :]
                    q0 = tl.load(q_ptr + private + n * width)[None, :]
                    Bn = tl.load(BC_ptr + (slot * 2 * S_pad + n) * T + offs_t)[:, None]
                    Cn = tl.load(BC_ptr + (slot * 2 * S_pad + S_pad + n) * T + offs_t)[:, None]
                    a = tl.exp2(dt * A2)
                    p = tl.where(is_first, a * h0, 0.0)
                    h = dtu * Bn
                    h = tl.where(is_first, a * h0 + h, h)
                    _, p, h = tl.associative_scan((a, p, h), 0, decay_then_add_keep)
                    e = gy * Cn
                    e = tl.where(is_last, q0 + e, e)
                    ones = tl.where(is_first, 1.0, tl.full((T, BD), 1.0, tl.float32))
                    _, _, q, g = tl.associative_scan((a, ones, a * e, e), 0, add_then_decay_keep, reverse=True)
                    tl.store(q_ptr + private + n * width, pick_row(q, is_first))
                    gp = g * p
                    by_A += A2 * gp
                    by_B += Bn * g
                    dA = tl.load(dA_ptr + private + n * width)
                    tl.store(dA_ptr + private + n * width, dA + tl.sum(dt * gp, axis=0))
                    if z_ptr is not None:
                        y += Cn * h
                    if MODE == 0:
                        chosen = tl.arange(0, BS)[None, :] == n - n0
                    else:
                        chosen = (tl.arange(0, BS)[None, :] + tl.zeros((BD, 1), tl.int32) == n - n0).to(tl.float32)
                    dB = add_column_sum(dB, g * dtu, chosen, MODE)
                    dC = add_column_sum(dC, h * gy, chosen, MODE)
            place = (((pid % num_blocks) * num_slots + slot) * 2 * T + offs_t)[:, None] * S_pad + n0 + tl.arange(0, BS)[None, :]
            inside = (offs_t >= 0)[:, None] & (n0 + tl.arange(0, BS) < S_pad)[None, :]
            tl.store(dBC_ptr + place, dB, mask=inside)
            tl.store(dBC_ptr + place + T * S_pad, dC, mask=inside)

        tl.debug_barrier()
        rows = tl.load(rows_ptr + slot * T + offs_t)[:, None].to(tl.int64)
        mask = valid & mask_d[None, :]
        u = tl.load(u_ptr + start * stride_u + rows * stride_u + cols[None, :]).to(tl.float32)
        dD += tl.sum(gy * u, axis=0)
        du = dt * by_B + skip[None, :] * gy
        tl.store(du_ptr + start * D + rows * D + cols[None, :], du.to(du_ptr.dtype.element_ty), mask=mask)
        ddelta = by_A * LN2 + by_B * u
        if SOFTPLUS:
            raw = tl.load(delta_ptr + start * stride_delta + rows * stride_delta + cols[None, :]).to(tl.float32)
            ddelta *= sigmoid(raw + bias[None, :])
        ddelta = tl.where(valid, ddelta, 0.0)
        dbias += tl.sum(ddelta, axis=0)
        tl.store(ddelta_ptr + start * D + rows * D + cols[None, :], ddelta.to(ddelta_ptr.dtype.element_ty), mask=mask)
        if z_ptr is not None:
            z = tl.load(z_ptr + start * stride_z + rows * stride_z + cols[None, :]).to(tl.float32)
            gy = tl.load(gy_ptr + start * stride_gy + rows * stride_gy + cols[None, :]).to(tl.float32)
            sz = sigmoid(z)
            dz = gy * (y + skip[None, :] * u) * sz * (1.0 + z * (1.0 - sz))
            tl.store(dz_ptr + start * D + rows * D + cols[None, :], dz.to(dz_ptr.dtype.element_ty), mask=mask)
    tl.store(dD_ptr + segment_id * width + offs_d, dD)
    tl.store(dbias_ptr + segment_id * width + offs_d, dbias)

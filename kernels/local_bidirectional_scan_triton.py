"""Triton kernels of the local bidirectional scan: tiles as in the selective scan.

A segment divides a tile, so that both scans of a tile, and both of the adjoint, run over steps that
lie in one thread. Every scanned quantity is formed so that nothing cancels: the decayed states
p_t = a_t h_{t-1} and r_t = a_t (r_{t+1} + b_{t+1}).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._scan_triton import (
    LOG2E,
    contiguous,
    load_rows,
    load_vector,
    row_stride,
    rows_of,
    steps_of,
    then,
)
from pcmamba.kernels._triton import sigmoid

MIN_STEPS = 8
FORWARD, BACKWARD = 4096, 2048  # steps x channels x states of a tile, at most


@triton.jit
def _local_fwd_kernel(
    u_ptr, delta_ptr, A2_ptr, B_ptr, C_ptr, D_ptr, z_ptr, bias_ptr, initial_ptr, perm_ptr,
    offsets_ptr, y_ptr, last_ptr, states_ptr, D, S,
    stride_u, stride_delta, stride_B, stride_C, stride_z,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, SEGMENT: tl.constexpr,
    T: tl.constexpr, BD: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    seq = tl.program_id(1).to(tl.int64)
    start = tl.load(offsets_ptr + seq)
    length = tl.load(offsets_ptr + seq + 1) - start
    offs_t, offs_n = tl.arange(0, T), tl.arange(0, BS)
    offs_d = tl.program_id(0).to(tl.int64) * BD + tl.arange(0, BD)
    mask_d, mask_n = offs_d < D, offs_n < S
    mask_dn = mask_d[:, None] & mask_n[None, :]
    place_dn = offs_d[:, None] * S + offs_n[None, :]
    A2 = tl.load(A2_ptr + place_dn, mask=mask_dn, other=0.0)
    bias, skip = load_vector(bias_ptr, offs_d, mask_d), load_vector(D_ptr, offs_d, mask_d)
    state = tl.zeros((BD, BS), tl.float32)
    if initial_ptr is not None:
        state = tl.load(initial_ptr + seq * D * S + place_dn, mask=mask_dn, other=0.0)
        state = state.to(tl.float32)
    slot = start // T + seq
    for first in range(0, length, T):
        tl.store(states_ptr + slot * D * S + place_dn, state, mask=mask_dn)
        slot += 1
        steps = first + offs_t
        valid = steps < length
        mask, mask_tn = valid[:, None] & mask_d[None, :], valid[:, None] & mask_n[None, :]
        rows = rows_of(steps, start, length, perm_ptr, REVERSE)
        u = load_rows(u_ptr, rows, stride_u, offs_d, mask)
        dt, _ = steps_of(delta_ptr, rows, stride_delta, offs_d, mask, bias, SOFTPLUS)
        B = load_rows(B_ptr, rows, stride_B, offs_n, mask_tn)
        C = load_rows(C_ptr, rows, stride_C, offs_n, mask_tn)
        a = tl.exp2(dt[:, :, None] * A2[None, :, :])
        b = (dt * u)[:, :, None] * B[:, None, :]
        b += tl.where((offs_t == 0)[:, None, None], a * state[None, :, :], 0.0)
        _, h = tl.associative_scan((a, b), 0, then)
        state = tl.sum(tl.where((offs_t == T - 1)[:, None, None], h, 0.0), axis=0)

        follows = ((offs_t + 1) % SEGMENT != 0) & ((steps + 1) < length)
        after = rows_of(steps + 1, start, length, perm_ptr, REVERSE)
        wide = follows[:, None] & mask_d[None, :]
        drive = load_rows(u_ptr, after, stride_u, offs_d, wide)
        dt_after, _ = steps_of(delta_ptr, after, stride_delta, offs_d, wide, bias, SOFTPLUS)
        mask_after = follows[:, None] & mask_n[None, :]
        B_after = load_rows(B_ptr, after, stride_B, offs_n, mask_after)
        a = tl.where(follows[:, None, None], a, 0.0)
        r = a * ((drive * dt_after)[:, :, None] * B_after[:, None, :])
        _, r = tl.associative_scan((a, r), 0, then, reverse=True)

        y = tl.sum((h + r) * C[:, None, :], axis=2) + skip[None, :] * u
        if z_ptr is not None:
            z = load_rows(z_ptr, rows, stride_z, offs_d, mask)
            y *= z * sigmoid(z)
        out = y_ptr + rows[:, None] * D + offs_d[None, :]
        tl.store(out, y.to(y_ptr.dtype.element_ty), mask=mask)
    tl.store(last_ptr + seq * D * S + place_dn, state, mask=mask_dn)


@triton.jit
def _local_bwd_kernel(
    grad_ptr, grad_last_ptr, u_ptr, delta_ptr, A_ptr, A2_ptr, B_ptr, C_ptr, D_ptr, z_ptr, bias_ptr,
    perm_ptr, offsets_ptr, states_ptr,
    du_ptr, ddelta_ptr, dA_ptr, dB_ptr, dC_ptr, dD_ptr, dz_ptr, dbias_ptr, dinitial_ptr,
    total, D, S, stride_grad, stride_u, stride_delta, stride_B, stride_C, stride_z,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, SEGMENT: tl.constexpr,
    T: tl.constexpr, BD: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    seq = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0).to(tl.int64)
    start = tl.load(offsets_ptr + seq)
    length = tl.load(offsets_ptr + seq + 1) - start
    offs_t, offs_n = tl.arange(0, T), tl.arange(0, BS)
    offs_d = block * BD + tl.arange(0, BD)
    mask_d, mask_n = offs_d < D, offs_n < S
    mask_dn = mask_d[:, None] & mask_n[None, :]
    place_dn = offs_d[:, None] * S + offs_n[None, :]
    A2 = tl.load(A2_ptr + place_dn, mask=mask_dn, other=0.0)
    A = tl.load(A_ptr + place_dn, mask=mask_dn, other=0.0)
    bias, skip = load_vector(bias_ptr, offs_d, mask_d), load_vector(D_ptr, offs_d, mask_d)
    carry = tl.zeros((BD, BS), tl.float32)
    if grad_last_ptr is not None:
        carry = tl.load(grad_last_ptr + seq * D * S + place_dn, mask=mask_dn, other=0.0)
        carry = carry.to(tl.float32)
    dA, dinitial = tl.zeros((BD, BS), tl.float32), carry
    dD, dbias = tl.zeros((BD,), tl.float32), tl.zeros((BD,), tl.float32)
    tiles = tl.cdiv(length, T)
    for back in range(0, tiles):
        tile = tiles - 1 - back
        steps = tile * T + offs_t
        valid = steps < length
        mask, mask_tn = valid[:, None] & mask_d[None, :], valid[:, None] & mask_n[None, :]
        rows = rows_of(steps, start, length, perm_ptr, REVERSE)
        u = load_rows(u_ptr, rows, stride_u, offs_d, mask)
        dt, slope = steps_of(delta_ptr, rows, stride_delta, offs_d, mask, bias, SOFTPLUS)
        B = load_rows(B_ptr, rows, stride_B, offs_n, mask_tn)
        C = load_rows(C_ptr, rows, stride_C, offs_n, mask_tn)
        grad = load_rows(grad_ptr, rows, stride_grad, offs_d, mask)
        slot = start // T + seq + tile
        state = tl.load(states_ptr + slot * D * S + place_dn, mask=mask_dn, other=0.0)
        a = tl.exp2(dt[:, :, None] * A2[None, :, :])

        before = rows_of(steps - 1, start, length, perm_ptr, REVERSE)
        inner = (offs_t > 0) & valid
        wide = inner[:, None] & mask_d[None, :]
        dt_before, _ = steps_of(delta_ptr, before, stride_delta, offs_d, wide, bias, SOFTPLUS)
        u_before = load_rows(u_ptr, before, stride_u, offs_d, wide)
        B_before = load_rows(B_ptr, before, stride_B, offs_n, inner[:, None] & mask_n[None, :])
        p = (dt_before * u_before)[:, :, None] * B_before[:, None, :]
        p = a * (p + tl.where((offs_t == 0)[:, None, None], state[None, :, :], 0.0))
        _, p = tl.associative_scan((a, p), 0, then)

        after = rows_of(steps + 1, start, length, perm_ptr, REVERSE)
        exists = (steps + 1) < length
        wide_after = exists[:, None] & mask_d[None, :]
        dt_after, _ = steps_of(delta_ptr, after, stride_delta, offs_d, wide_after, bias, SOFTPLUS)
        u_after = load_rows(u_ptr, after, stride_u, offs_d, wide_after)
        mask_after = exists[:, None] & mask_n[None, :]
        B_after = load_rows(B_ptr, after, stride_B, offs_n, mask_after)
        follows = (((offs_t + 1) % SEGMENT != 0) & exists)[:, None, None]
        r = (dt_after * u_after)[:, :, None] * B_after[:, None, :]
        r = tl.where(follows, a * r, 0.0)
        _, r = tl.associative_scan((tl.where(follows, a, 0.0), r), 0, then, reverse=True)

        seen = p + (dt * u)[:, :, None] * B[:, None, :] + r
        if z_ptr is not None:
            z = load_rows(z_ptr, rows, stride_z, offs_d, mask)
            s = sigmoid(z)
            y = tl.sum(seen * C[:, None, :], axis=2) + skip[None, :] * u
            dz = grad * y * s * (1.0 + z * (1.0 - s))
            tl.store(
                dz_ptr + rows[:, None] * D + offs_d[None, :],
                dz.to(dz_ptr.dtype.element_ty), mask=mask,
            )  # fmt: skip
            grad *= z * s
        dC = tl.sum(grad[:, :, None] * seen, axis=1)

        e = grad[:, :, None] * C[:, None, :]
        # The decay of the step before, 0 at a segment's start: q there is e alone.
        a_before = tl.exp2(dt_before[:, :, None] * A2[None, :, :])
        a_before = tl.where((offs_t % SEGMENT != 0)[:, None, None], a_before, 0.0)
        _, q = tl.associative_scan((a_before, e), 0, then)
        # A padded step passes the carry through: its own decay is 1 and nothing is added.
        a_after = tl.exp2(dt_after[:, :, None] * A2[None, :, :])
        ends = (offs_t == T - 1)[:, None, None]
        g = e + tl.where(ends, a_after * carry[None, :, :], 0.0)
        _, g = tl.associative_scan((a_after, g), 0, then, reverse=True)
        carry = tl.sum(tl.where((offs_t == 0)[:, None, None], g, 0.0), axis=0)
        dinitial = tl.sum(tl.where((offs_t == 0)[:, None, None], a * g, 0.0), axis=0)

        da = g * p + q * r  # times a
        db = g + (q - e)
        dbB = tl.sum(db * B[:, None, :], axis=2)
        ddelta = (tl.sum(da * A[None, :, :], axis=2) + dbB * u) * slope
        du = dt * dbB + skip[None, :] * grad
        dB = tl.sum(db * (dt * u)[:, :, None], axis=1)
        dA += tl.sum(da * dt[:, :, None], axis=0)
        dD += tl.sum(grad * u, axis=0)
        dbias += tl.sum(ddelta, axis=0)
        out = rows[:, None] * D + offs_d[None, :]
        tl.store(du_ptr + out, du.to(du_ptr.dtype.element_ty), mask=mask)
        tl.store(ddelta_ptr + out, ddelta.to(ddelta_ptr.dtype.element_ty), mask=mask)
        out_n = (block * total + rows)[:, None] * S + offs_n[None, :]
        tl.store(dB_ptr + out_n, dB, mask=mask_tn)
        tl.store(dC_ptr + out_n, dC, mask=mask_tn)
    tl.store(dA_ptr + seq * D * S + place_dn, dA, mask=mask_dn)
    tl.store(dinitial_ptr + seq * D * S + place_dn, dinitial, mask=mask_dn)
    tl.store(dD_ptr + seq * D + offs_d, dD, mask=mask_d)
    tl.store(dbias_ptr + seq * D + offs_d, dbias, mask=mask_d)


def checkpoint_shape(
    tokens: int, sequences: int, channels: int, states: int, segment: int
) -> tuple[int, int, int]:
    """Return the shape of the states kept for the backward pass, one per tile."""
    return tokens // max(segment, MIN_STEPS) + sequences, channels, states


def local_bidirectional_scan_fwd(
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
    segment: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (T, D) like u, the last states (sequences, D, S) and the kept states, float32.

    Arguments are those of the selective scan's launcher; `segment` is a power of two up to 32.
    """
    rows, width = u.shape
    sequences, size = len(offsets) - 1, A.shape[1]
    A = A.float().contiguous()
    y = torch.empty(rows, width, dtype=u.dtype, device=u.device)
    last_state = A.new_empty(sequences, width, size)
    states = A.new_empty(checkpoint_shape(rows, sequences, width, size, segment))
    blocks = block_sizes(width, size, segment, FORWARD)
    if last_state.numel():
        _local_fwd_kernel[(triton.cdiv(width, blocks["BD"]), sequences)](
            u, delta, A * LOG2E, B, C, D, z, delta_bias, contiguous(initial_state), perm,
            offsets, y, last_state, states, width, size,
            u.stride(0), delta.stride(0), B.stride(0), C.stride(0), row_stride(z),
            SOFTPLUS=delta_softplus, REVERSE=reverse, SEGMENT=segment, **blocks,
        )  # fmt: skip
    return y, last_state, states


def local_bidirectional_scan_bwd(
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
    segment: int,
) -> tuple[Tensor, ...]:
    """Return the gradients of u, delta, A, B, C, D, z, delta_bias and initial_state.

    An input that was None has an empty gradient. The other arguments are those of the forward pass.
    """
    rows, width = u.shape
    sequences, size = len(offsets) - 1, A.shape[1]
    blocks = block_sizes(width, size, segment, BACKWARD)
    count = triton.cdiv(width, blocks["BD"])
    A = A.float().contiguous()
    du, ddelta = (torch.empty(rows, width, dtype=t.dtype, device=u.device) for t in (u, delta))
    dz = u.new_empty(0) if z is None else z.new_empty(rows, width)
    dA, dinitial = A.new_empty(2, sequences, width, size)
    dD, dbias = A.new_empty(2, sequences, width)
    dB, dC = A.new_empty(2, count, rows, size)
    if dA.numel():
        _local_bwd_kernel[(count, sequences)](
            grad_y, contiguous(grad_last_state), u, delta, A, A * LOG2E, B, C, D, z, delta_bias,
            perm, offsets, states, du, ddelta, dA, dB, dC, dD, dz, dbias, dinitial,
            rows, width, size, grad_y.stride(0), u.stride(0), delta.stride(0), B.stride(0),
            C.stride(0), row_stride(z),
            SOFTPLUS=delta_softplus, REVERSE=reverse, SEGMENT=segment, **blocks,
        )  # fmt: skip
    none = A.new_empty(0)
    skip, bias = (
        none if given is None else part.sum(0) for given, part in ((D, dD), (delta_bias, dbias))
    )
    initial = none if initial_state is None else dinitial
    return du, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), skip, dz, bias, initial


def block_sizes(channels: int, states: int, segment: int, limit: int) -> dict[str, int]:
    """A tile of at most `limit` numbers; its steps lie in one thread whatever the rest."""
    steps, size = max(segment, MIN_STEPS), max(2, triton.next_power_of_2(states))
    width = max(2, min(32, limit // (steps * size), triton.next_power_of_2(channels)))
    return {"T": steps, "BD": width, "BS": size, "num_warps": 4}

"""CPU loops of the local bidirectional scan, backward.

Beside the adjoint g of the scan over the whole sequence runs that of the scan inside segments,

    q_t = C_t gy_t + w_t        w_t = a_{t-1} q_{t-1}, 0 at the first step of every segment

and b_t has the gradient g_t + w_t, a_t the gradient g_t h_{t-1} + q_t (r_{t+1} + b_{t+1}).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, exp2, fma, load, splat, splat_at, store
from pcmamba.kernels._rows_cpu import add_to, clear, flat_rows, state_major
from pcmamba.kernels._scan_cpu import TILE, Scan, checkpoint_slot, fill_rows, load_steps, prepare
from pcmamba.kernels.selective_scan_bwd_cpu import (
    MAX_GROUPS,
    Grads,
    Tile,
    _collect,
    _load_grad,
    _new_tile,
    _store_rows,
    _store_sums,
)


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
    checkpoints: Tensor,
    delta_softplus: bool,
    reverse: bool,
    segment: int,
) -> tuple[Tensor, ...]:
    """Return float32 gradients of u, delta, A, B, C, D, z, delta_bias, initial_state."""
    arguments = (u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    scan = prepare(*arguments, delta_softplus, reverse)
    tokens, sequences, groups = len(u), len(offsets) - 1, scan.channels // LANES
    tasks = (groups + MAX_GROUPS - 1) // MAX_GROUPS
    wide = [checkpoints.new_empty(tokens, scan.channels) for _ in range(3 if scan.gated else 2)]
    sums = [checkpoints.new_zeros(tasks, tokens, scan.states) for _ in range(2)]
    shared = checkpoints.new_zeros(sequences, scan.states + 2, scan.channels)
    if grad_last_state is None:
        state = checkpoints.new_zeros(sequences, scan.states, scan.channels)
    else:
        state = state_major(grad_last_state, scan.channels)
    grads = Grads(*(t.view(-1).numpy() for t in (wide[0], wide[1], wide[-1], state, *sums, shared)))
    limit_threads()
    grad, stride = flat_rows(grad_y, scan.channels)
    _backward(scan, grad, stride, checkpoints.view(-1).numpy(), tasks, segment, grads)
    return _collect(wide, sums, shared, state, arguments)


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(
    scan: Scan,
    grad_y: Array,
    grad_stride: int,
    kept: Array,
    tasks: int,
    segment: int,
    grads: Grads,
) -> None:
    sequences = len(scan.offsets) - 1
    groups = scan.channels // LANES
    share = (groups + tasks - 1) // max(tasks, 1)
    for task in prange(sequences * tasks):
        sequence, block = task % sequences, task // sequences
        begin, end = block * share, min(groups, (block + 1) * share)
        tile, ahead, drift = _new_tile(scan.states), _new_row(), _new_row()
        length = scan.offsets[sequence + 1] - scan.offsets[sequence]
        for index in range((length + TILE - 1) // TILE - 1, -1, -1):
            count = fill_rows(scan, sequence, index, tile.rows)
            clear(tile.dB)
            clear(tile.dC)
            slot = checkpoint_slot(scan, sequence, index)
            for group in range(begin, end):
                channel = group * LANES
                load_steps(scan, tile.rows, count, channel, tile.step, tile.drive, tile.out)
                _load_grad(scan, tile, count, channel, grad_y, grad_stride)
                for n in range(scan.states):
                    row = n * scan.channels + channel
                    start = load(kept, slot * scan.states * scan.channels + row)
                    _recompute(scan, tile, ahead, count, channel, n, start, segment)
                    _drift(scan, tile, drift, count, n, segment)
                    _adjoint(scan, tile, ahead, drift, count, channel, n, sequence, grads)
                _store_rows(scan, tile, count, channel, sequence, grad_y, grad_stride, grads)
            _store_sums(scan, tile, count, block, grads)


@njit(error_model="numpy")
def _new_row() -> Array:
    return np.empty(TILE * LANES, np.float32)


@njit(error_model="numpy")
def _recompute(
    scan: Scan,
    tile: Tile,
    ahead: Array,
    count: int,
    channel: int,
    n: int,
    start: Any,
    segment: int,
) -> None:
    """Write a, h and r of state n from the state before the tile; add to y where it is gated."""
    rate = load(scan.A2, n * scan.channels + channel)
    h = start
    store(tile.h, 0, h)
    for t in range(count):
        a = exp2(load(tile.step, t * LANES) * rate)
        b = splat_at(scan.B, tile.rows[t] * scan.B_stride + n)
        h = fma(a, h, b * load(tile.drive, t * LANES))
        store(tile.decay, t * LANES, a)
        store(tile.h, (t + 1) * LANES, h)
    r = splat(np.float32(0))
    for t in range(count - 1, -1, -1):
        if t == count - 1 or (t + 1) % segment == 0:
            r = splat(np.float32(0))
        else:
            b = splat_at(scan.B, tile.rows[t + 1] * scan.B_stride + n)
            r = load(tile.decay, t * LANES) * fma(b, load(tile.drive, (t + 1) * LANES), r)
        store(ahead, t * LANES, r)
        if scan.gated:
            c = splat_at(scan.C, tile.rows[t] * scan.C_stride + n)
            seen = load(tile.h, (t + 1) * LANES) + r
            store(tile.out, t * LANES, fma(c, seen, load(tile.out, t * LANES)))


@njit(error_model="numpy")
def _drift(scan: Scan, tile: Tile, drift: Array, count: int, n: int, segment: int) -> None:
    """Write w of state n."""
    w = splat(np.float32(0))
    for t in range(count):
        if t % segment == 0:
            w = splat(np.float32(0))
        store(drift, t * LANES, w)
        c = splat_at(scan.C, tile.rows[t] * scan.C_stride + n)
        w = load(tile.decay, t * LANES) * fma(c, load(tile.grad, t * LANES), w)


@njit(error_model="numpy")
def _adjoint(
    scan: Scan,
    tile: Tile,
    ahead: Array,
    drift: Array,
    count: int,
    channel: int,
    n: int,
    sequence: int,
    grads: Grads,
) -> None:
    """Run state n back through the tile and add up what the gradients are made of."""
    row = n * scan.channels + channel
    at = sequence * scan.states * scan.channels + row
    rate = load(scan.A, row)
    carry, drate = load(grads.state, at), splat(np.float32(0))
    for t in range(count - 1, -1, -1):
        i = t * LANES
        j = (t * scan.states + n) * LANES
        b = splat_at(scan.B, tile.rows[t] * scan.B_stride + n)
        c = splat_at(scan.C, tile.rows[t] * scan.C_stride + n)
        grad, r, w = load(tile.grad, i), load(ahead, i), load(drift, i)
        g = fma(c, grad, carry)
        db = g + w
        store(tile.dC, j, fma(grad, load(tile.h, i + LANES) + r, load(tile.dC, j)))
        store(tile.dB, j, fma(db, load(tile.drive, i), load(tile.dB, j)))
        carry = load(tile.decay, i) * g
        da = fma(carry, load(tile.h, i), fma(c, grad, w) * r)  # times a
        drate = fma(load(tile.step, i), da, drate)
        store(tile.dstep, i, fma(rate, da, load(tile.dstep, i)))
        store(tile.dinput, i, fma(b, db, load(tile.dinput, i)))
    store(grads.state, at, carry)
    add_to(grads.shared, sequence * (scan.states + 2) * scan.channels + row, drate)

"""CPU loops of the selective scan, backward.

A task walks the tiles of one sequence from the last to the first, for up to 64 channels. For each
tile it recomputes the states of a channel group from the kept one, then runs the adjoint state

    g_t = C_t gy_t + exp(dt_{t+1} A) g_{t+1}

down the tile. The sums over channels (dB, dC) go to a buffer of the task and the sums over
sequences (dA, dD, d bias) to one of the sequence; both are added up in a fixed order afterwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, exp2, fma, load, sigmoid, splat, splat_at, store, total
from pcmamba.kernels._rows_cpu import (
    add_parts,
    add_to,
    channel_major,
    clear,
    flat_rows,
    state_major,
)
from pcmamba.kernels._scan_cpu import (
    TILE,
    Scan,
    checkpoint_slot,
    fill_rows,
    load_steps,
    prepare,
)

MAX_GROUPS = 4  # groups of 16 channels a task, which share one sum over channels


class Grads(NamedTuple):
    """Flat float32 results, and the sums of each task and each sequence."""

    u: Array  # (T * D)
    delta: Array
    z: Array
    state: Array  # (sequences * S * D)
    B: Array  # (tasks of a sequence * T * S)
    C: Array
    shared: Array  # (sequences * (S + 2) * D): dA, dD, d bias


class Tile(NamedTuple):
    """What a task keeps of the current tile, 16 channels wide unless said."""

    rows: Array  # (steps)
    step: Array  # (steps * 16), as all below: dt
    drive: Array  # dt u
    out: Array  # y before the gate
    grad: Array  # its gradient
    decay: Array  # exp(dt A) of one state
    h: Array  # (steps + 1): that state
    dstep: Array  # gradient of dt
    dinput: Array  # sum over S of B g
    dB: Array  # (steps * S * 16), summed over the groups of the task
    dC: Array


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
    _backward(scan, *flat_rows(grad_y, scan.channels), checkpoints.view(-1).numpy(), tasks, grads)
    return _collect(wide, sums, shared, state, arguments)


def _collect(
    wide: list[Tensor],
    sums: list[Tensor],
    shared: Tensor,
    state: Tensor,
    arguments: tuple[Tensor | None, ...],
) -> tuple[Tensor, ...]:
    """Add up the parts and give every gradient the shape of its argument."""
    channels, states = arguments[2].shape  # type: ignore[union-attr]  # A is there
    rows = [t[:, :channels].contiguous() for t in wide]
    dB, dC = (add_parts(t) for t in sums)
    over = add_parts(shared)
    dA, dD, dbias = channel_major(over[:states], channels), over[states], over[states + 1]
    dD, dbias = dD[:channels].clone(), dbias[:channels].clone()
    grads = (*rows[:2], dA, dB, dC, dD, rows[-1], dbias, channel_major(state, channels))
    given = zip(arguments[:9], grads, strict=True)
    return tuple(state.new_empty(0) if argument is None else grad for argument, grad in given)


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(
    scan: Scan, grad_y: Array, grad_stride: int, kept: Array, tasks: int, grads: Grads
) -> None:
    sequences = len(scan.offsets) - 1
    groups = scan.channels // LANES
    share = (groups + tasks - 1) // max(tasks, 1)
    for task in prange(sequences * tasks):
        sequence, block = task % sequences, task // sequences
        begin, end = block * share, min(groups, (block + 1) * share)
        tile = _new_tile(scan.states)
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
                _walk_tile(scan, tile, count, channel, sequence, slot, kept, grads)
                _store_rows(scan, tile, count, channel, sequence, grad_y, grad_stride, grads)
            _store_sums(scan, tile, count, block, grads)


@njit(error_model="numpy")
def _new_tile(states: int) -> Tile:
    n = TILE * LANES
    f = np.float32
    return Tile(
        np.empty(TILE, np.int64),
        np.empty(n, f),
        np.empty(n, f),
        np.empty(n, f),
        np.empty(n, f),
        np.empty(n, f),
        np.empty(n + LANES, f),
        np.empty(n, f),
        np.empty(n, f),
        np.empty(n * states, f),
        np.empty(n * states, f),
    )


@njit(error_model="numpy")
def _load_grad(
    scan: Scan, tile: Tile, count: int, channel: int, grad_y: Array, grad_stride: int
) -> None:
    """Write the gradient of y before the gate, and clear the sums over states."""
    for t in range(count):
        grad = load(grad_y, tile.rows[t] * grad_stride + channel)
        if scan.gated:
            gate = load(scan.z, tile.rows[t] * scan.z_stride + channel)
            grad = grad * gate * sigmoid(gate)
        store(tile.grad, t * LANES, grad)
        store(tile.dstep, t * LANES, splat(np.float32(0)))
        store(tile.dinput, t * LANES, splat(np.float32(0)))


@njit(error_model="numpy")
def _walk_tile(
    scan: Scan,
    tile: Tile,
    count: int,
    channel: int,
    sequence: int,
    slot: int,
    kept: Array,
    grads: Grads,
) -> None:
    size = scan.states * scan.channels
    for n in range(scan.states):
        row = n * scan.channels + channel
        rate, rate2 = load(scan.A, row), load(scan.A2, row)
        h = load(kept, slot * size + row)
        store(tile.h, 0, h)
        for t in range(count):  # recompute
            decay = exp2(load(tile.step, t * LANES) * rate2)
            b = splat_at(scan.B, tile.rows[t] * scan.B_stride + n)
            h = fma(decay, h, b * load(tile.drive, t * LANES))
            store(tile.decay, t * LANES, decay)
            store(tile.h, (t + 1) * LANES, h)
            if scan.gated:
                c = splat_at(scan.C, tile.rows[t] * scan.C_stride + n)
                store(tile.out, t * LANES, fma(c, h, load(tile.out, t * LANES)))
        _adjoint(scan, tile, count, n, rate, sequence * size + row, grads)


@njit(error_model="numpy")
def _adjoint(scan: Scan, tile: Tile, count: int, n: int, rate: Any, at: int, grads: Grads) -> None:
    """Run state n back through the tile; `at` is its place in a sequence's state."""
    place = at + 2 * scan.channels * (at // (scan.states * scan.channels))
    carry, drate = load(grads.state, at), splat(np.float32(0))
    for t in range(count - 1, -1, -1):
        i = t * LANES
        j = (t * scan.states + n) * LANES
        b = splat_at(scan.B, tile.rows[t] * scan.B_stride + n)
        c = splat_at(scan.C, tile.rows[t] * scan.C_stride + n)
        grad, decay = load(tile.grad, i), load(tile.decay, i)
        g = fma(c, grad, carry)
        store(tile.dC, j, fma(grad, load(tile.h, i + LANES), load(tile.dC, j)))
        store(tile.dB, j, fma(g, load(tile.drive, i), load(tile.dB, j)))
        carry = decay * g
        gp = carry * load(tile.h, i)
        drate = fma(load(tile.step, i), gp, drate)
        store(tile.dstep, i, fma(rate, gp, load(tile.dstep, i)))
        store(tile.dinput, i, fma(b, g, load(tile.dinput, i)))
    store(grads.state, at, carry)
    add_to(grads.shared, place, drate)


@njit(error_model="numpy")
def _store_rows(
    scan: Scan,
    tile: Tile,
    count: int,
    channel: int,
    sequence: int,
    grad_y: Array,
    grad_stride: int,
    grads: Grads,
) -> None:
    place = (sequence * (scan.states + 2) + scan.states) * scan.channels + channel
    dskip, dbias = splat(np.float32(0)), splat(np.float32(0))
    skip = load(scan.skip, channel)
    for t in range(count):
        i, row = t * LANES, tile.rows[t]
        u = load(scan.u, row * scan.u_stride + channel)
        grad, dinput = load(tile.grad, i), load(tile.dinput, i)
        dstep = fma(u, dinput, load(tile.dstep, i))
        if scan.softplus:
            v = load(scan.delta, row * scan.delta_stride + channel)
            dstep = dstep * sigmoid(v + load(scan.bias, channel))
        dskip, dbias = fma(grad, u, dskip), dbias + dstep
        at = row * scan.channels + channel
        store(grads.u, at, fma(load(tile.step, i), dinput, skip * grad))
        store(grads.delta, at, dstep)
        if scan.gated:
            gate = load(scan.z, row * scan.z_stride + channel)
            s = sigmoid(gate)
            slope = fma(gate * s, splat(np.float32(1)) - s, s)
            store(
                grads.z, at, load(grad_y, row * grad_stride + channel) * load(tile.out, i) * slope
            )
    add_to(grads.shared, place, dskip)
    add_to(grads.shared, place + scan.channels, dbias)


@njit(error_model="numpy")
def _store_sums(scan: Scan, tile: Tile, count: int, block: int, grads: Grads) -> None:
    tokens = scan.offsets[-1]
    for t in range(count):
        place = (block * tokens + tile.rows[t]) * scan.states
        for n in range(scan.states):
            i = (t * scan.states + n) * LANES
            grads.B[place + n] = total(load(tile.dB, i))
            grads.C[place + n] = total(load(tile.dC, i))

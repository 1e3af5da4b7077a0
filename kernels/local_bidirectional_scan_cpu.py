"""CPU loops of the local bidirectional scan: those of the selective scan with another tile.

A segment divides a tile, so that the scan inside segments never leaves one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels import selective_scan_cpu
from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, exp2, fma, load, splat, splat_at, store
from pcmamba.kernels._rows_cpu import channel_major
from pcmamba.kernels._scan_cpu import TILE, Scan, checkpoint_slot, fill_rows, load_steps, prepare
from pcmamba.kernels.local_bidirectional_scan_bwd_cpu import local_bidirectional_scan_bwd
from pcmamba.kernels.selective_scan_cpu import _store_tile

__all__ = ["checkpoint_shape", "local_bidirectional_scan_bwd", "local_bidirectional_scan_fwd"]


def checkpoint_shape(
    tokens: int, sequences: int, channels: int, states: int, segment: int
) -> tuple[int, int, int]:
    """Return the shape of the states kept for the backward pass, one per tile of 32 steps."""
    return selective_scan_cpu.checkpoint_shape(tokens, sequences, channels, states)


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
    """Return y (T, D) like u, the last states (sequences, D, S) and the kept states, float32."""
    arguments = (u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    scan = prepare(*arguments, delta_softplus, reverse)
    sequences = len(offsets) - 1
    y = u.new_empty(len(u), scan.channels, dtype=torch.float32)
    last = y.new_empty(sequences, scan.states, scan.channels)
    kept = y.new_zeros(checkpoint_shape(len(u), sequences, *A.shape, segment))
    limit_threads()
    arrays = (t.view(-1).numpy() for t in (y, last, kept))
    _forward(scan, *arrays, segment)
    y = y[:, : u.shape[1]].contiguous().to(u.dtype)
    return y, channel_major(last, u.shape[1]), kept


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(scan: Scan, y: Array, last: Array, kept: Array, segment: int) -> None:
    sequences = len(scan.offsets) - 1
    groups = scan.channels // LANES
    size = scan.states * scan.channels
    for task in prange(sequences * groups):
        sequence, channel = task % sequences, task // sequences * LANES
        state = np.empty(scan.states * LANES, np.float32)
        rows = np.empty(TILE, np.int64)
        step = np.empty(TILE * LANES, np.float32)
        drive, out, decay = np.empty_like(step), np.empty_like(step), np.empty_like(step)
        for n in range(scan.states):
            start = load(scan.state, sequence * size + n * scan.channels + channel)
            store(state, n * LANES, start)
        length = scan.offsets[sequence + 1] - scan.offsets[sequence]
        for tile in range((length + TILE - 1) // TILE):
            slot = checkpoint_slot(scan, sequence, tile) * size + channel
            for n in range(scan.states):
                store(kept, slot + n * scan.channels, load(state, n * LANES))
            count = fill_rows(scan, sequence, tile, rows)
            load_steps(scan, rows, count, channel, step, drive, out)
            for n in range(scan.states):
                _scan_both(scan, rows, count, channel, n, step, drive, state, decay, out, segment)
            _store_tile(scan, rows, count, channel, out, y)
        for n in range(scan.states):
            store(last, sequence * size + n * scan.channels + channel, load(state, n * LANES))


@njit(error_model="numpy")
def _scan_both(
    scan: Scan,
    rows: Array,
    count: int,
    channel: int,
    n: int,
    step: Array,
    drive: Array,
    state: Array,
    decay: Array,
    out: Array,
    segment: int,
) -> None:
    """Run state n up the tile, then down each segment, adding to `out`."""
    rate: Any = load(scan.A2, n * scan.channels + channel)
    h = load(state, n * LANES)
    for t in range(count):
        b = splat_at(scan.B, rows[t] * scan.B_stride + n)
        c = splat_at(scan.C, rows[t] * scan.C_stride + n)
        a = exp2(load(step, t * LANES) * rate)
        store(decay, t * LANES, a)
        h = fma(a, h, b * load(drive, t * LANES))
        store(out, t * LANES, fma(c, h, load(out, t * LANES)))
    store(state, n * LANES, h)
    for first in range(0, count, segment):
        ahead = splat(np.float32(0))
        for t in range(min(first + segment, count) - 1, first, -1):
            b = splat_at(scan.B, rows[t] * scan.B_stride + n)
            c = splat_at(scan.C, rows[t - 1] * scan.C_stride + n)
            ahead = load(decay, (t - 1) * LANES) * fma(b, load(drive, t * LANES), ahead)
            store(out, (t - 1) * LANES, fma(c, ahead, load(out, (t - 1) * LANES)))

"""CPU loops of the selective scan, forward; 16 channels of one sequence are a task."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, exp2, fma, load, sigmoid, splat_at, store
from pcmamba.kernels._rows_cpu import channel_major, pad_channels
from pcmamba.kernels._scan_cpu import (
    TILE,
    Scan,
    checkpoint_slot,
    fill_rows,
    load_steps,
    prepare,
)
from pcmamba.kernels.selective_scan_bwd_cpu import selective_scan_bwd

__all__ = ["checkpoint_shape", "selective_scan_bwd", "selective_scan_fwd"]


def checkpoint_shape(
    tokens: int, sequences: int, channels: int, states: int
) -> tuple[int, int, int]:
    """Return the shape of the states kept for the backward pass, one per tile of 32 steps."""
    return tokens // TILE + sequences, states, pad_channels(channels)


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
    """Return y (T, D) like u, the last states (sequences, D, S) and the kept states, float32."""
    arguments = (u, delta, A, B, C, D, z, delta_bias, initial_state, perm, offsets)
    scan = prepare(*arguments, delta_softplus, reverse)
    sequences = len(offsets) - 1
    y = u.new_empty(len(u), scan.channels, dtype=torch.float32)
    last = y.new_empty(sequences, scan.states, scan.channels)
    kept = y.new_zeros(checkpoint_shape(len(u), sequences, *A.shape))
    limit_threads()
    _forward(scan, y.view(-1).numpy(), last.view(-1).numpy(), kept.view(-1).numpy())
    y = y[:, : u.shape[1]].contiguous().to(u.dtype)
    return y, channel_major(last, u.shape[1]), kept


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(scan: Scan, y: Array, last: Array, kept: Array) -> None:
    sequences = len(scan.offsets) - 1
    groups = scan.channels // LANES
    size = scan.states * scan.channels
    for task in prange(sequences * groups):
        sequence, channel = task % sequences, task // sequences * LANES
        state = np.empty(scan.states * LANES, np.float32)
        rows = np.empty(TILE, np.int64)
        step = np.empty(TILE * LANES, np.float32)
        drive, out = np.empty_like(step), np.empty_like(step)
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
            _scan_tile(scan, rows, count, channel, step, drive, state, out)
            _store_tile(scan, rows, count, channel, out, y)
        for n in range(scan.states):
            store(last, sequence * size + n * scan.channels + channel, load(state, n * LANES))


@njit(error_model="numpy")
def _scan_tile(
    scan: Scan,
    rows: Array,
    count: int,
    channel: int,
    step: Array,
    drive: Array,
    state: Array,
    out: Array,
) -> None:
    for n in range(scan.states):
        rate = load(scan.A2, n * scan.channels + channel)
        h = load(state, n * LANES)
        for t in range(count):
            b = splat_at(scan.B, rows[t] * scan.B_stride + n)
            c = splat_at(scan.C, rows[t] * scan.C_stride + n)
            decay = exp2(load(step, t * LANES) * rate)
            h = fma(decay, h, b * load(drive, t * LANES))
            store(out, t * LANES, fma(c, h, load(out, t * LANES)))
        store(state, n * LANES, h)


@njit(error_model="numpy")
def _store_tile(scan: Scan, rows: Array, count: int, channel: int, out: Array, y: Array) -> None:
    for t in range(count):
        value = load(out, t * LANES)
        if scan.gated:
            gate = load(scan.z, rows[t] * scan.z_stride + channel)
            value = value * gate * sigmoid(gate)
        store(y, rows[t] * scan.channels + channel, value)

"""What the CPU scan's two passes share: their arrays, and one tile of steps in a small buffer.

A tile is up to 32 steps of one sequence, for 16 channels at a time. State n of the 16 channels
walks through a tile in one register.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from numba import njit
from torch import Tensor

from pcmamba.kernels._common import Array
from pcmamba.kernels._lanes import LANES, load, softplus, store
from pcmamba.kernels._rows_cpu import flat_rows, pad_channels, state_major

TILE = 32
LOG2E = 1.4426950408889634


class Scan(NamedTuple):
    """Arguments of a scan as the loops read them; D is padded to a multiple of 16.

    Tensors of rows are flat, their row i starts at i times the stride; all are float32.
    """

    u: Array
    u_stride: int
    delta: Array
    delta_stride: int
    z: Array
    z_stride: int
    B: Array
    B_stride: int
    C: Array
    C_stride: int
    A: Array  # (S * D), state-major
    A2: Array  # A log2(e)
    skip: Array  # (D)
    bias: Array  # (D)
    state: Array  # (sequences * S * D)
    perm: Array
    offsets: Array
    channels: int
    states: int
    has_perm: bool
    gated: bool
    softplus: bool
    reverse: bool


def prepare(
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
) -> Scan:
    """Collect the arguments of a launcher for the loops."""
    channels, states = A.shape
    padded = pad_channels(channels)
    nothing = u.new_zeros(padded, dtype=torch.float32).numpy()
    rates = state_major(A, padded).flatten()
    if initial_state is None:
        count = (len(offsets) - 1) * states * padded
        start = u.new_zeros(count, dtype=torch.float32)
    else:
        start = state_major(initial_state, padded).flatten()
    skip, bias = (nothing if v is None else flat_rows(v[None], padded)[0] for v in (D, delta_bias))
    return Scan(
        *flat_rows(u, padded),
        *flat_rows(delta, padded),
        *flat_rows(u if z is None else z, padded),
        *flat_rows(B),
        *flat_rows(C),
        rates.numpy(),
        (rates * LOG2E).numpy(),
        skip,
        bias,
        start.numpy(),
        offsets.numpy() if perm is None else perm.contiguous().numpy(),
        offsets.contiguous().numpy(),
        padded,
        states,
        perm is not None,
        z is not None,
        delta_softplus,
        reverse,
    )


@njit(error_model="numpy")
def fill_rows(scan: Scan, sequence: int, tile: int, rows: Array) -> int:
    """Write the rows that a tile's steps read; return how many steps it has."""
    start, end = scan.offsets[sequence], scan.offsets[sequence + 1]
    first = tile * TILE
    count = min(TILE, end - start - first)
    for i in range(count):
        step = end - start - 1 - first - i if scan.reverse else first + i
        rows[i] = start + (scan.perm[start + step] if scan.has_perm else step)
    return count


@njit(error_model="numpy")
def load_steps(
    scan: Scan, rows: Array, count: int, channel: int, step: Array, drive: Array, out: Array
) -> None:
    """Write dt, dt u and D u of a tile's 16 channels."""
    for t in range(count):
        dt = load(scan.delta, rows[t] * scan.delta_stride + channel) + load(scan.bias, channel)
        if scan.softplus:
            dt = softplus(dt)
        u = load(scan.u, rows[t] * scan.u_stride + channel)
        store(step, t * LANES, dt)
        store(drive, t * LANES, dt * u)
        store(out, t * LANES, load(scan.skip, channel) * u)


@njit(error_model="numpy")
def checkpoint_slot(scan: Scan, sequence: int, tile: int) -> int:
    """Where the state at the start of a tile is kept, a slot number that nobody shares."""
    return scan.offsets[sequence] // TILE + sequence + tile

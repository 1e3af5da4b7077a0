"""CPU loop of farthest point sampling: a cloud a thread, points as three rows.

Squared distances are not negative, so their bits as integers order them alike; integer maxima
vectorise without a promise about NaN. Blocks of points keep their maximum, so that the winner
is found by reading the block maxima and one block.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

BLOCK = 256


def farthest_point_sample_fwd(
    xyz: Tensor, offsets: Tensor, start: Tensor, sample_offsets: Tensor, rows: int, longest: int
) -> Tensor:
    """Return the samples (rows,) int64 of ragged clouds (T, 3), -1 past a cloud's last point."""
    samples = torch.full((rows,), -1, dtype=torch.int64)
    planes = xyz.detach().t().contiguous()
    nearest = torch.full((len(xyz),), torch.inf)
    limit_threads()
    _sample_clouds(
        planes.numpy(),
        offsets.contiguous().numpy(),
        start.contiguous().numpy(),
        sample_offsets.contiguous().numpy(),
        nearest.numpy(),
        nearest.view(torch.int32).numpy(),
        samples.numpy(),
    )
    return samples


@njit(parallel=True, cache=True, error_model="numpy")
def _sample_clouds(
    planes: Array,
    offsets: Array,
    start: Array,
    sample_offsets: Array,
    nearest: Array,
    bits: Array,
    samples: Array,
) -> None:
    for b in prange(len(start)):
        low, high = offsets[b], offsets[b + 1]
        first = sample_offsets[b]
        count = min(sample_offsets[b + 1] - first, high - low)
        # One axis each, so that the compiler knows the rows to be contiguous.
        x, y, z = planes[0, low:high], planes[1, low:high], planes[2, low:high]
        near, near_bits = nearest[low:high], bits[low:high]
        peaks = np.empty((high - low + BLOCK - 1) // BLOCK, np.int32)
        last = start[b]
        for m in range(count):
            samples[first + m] = last
            if m + 1 < count:
                _update(x, y, z, last, near, near_bits, peaks)
                last = _first_peak(near_bits, peaks)


@njit(cache=True, error_model="numpy")
def _update(
    x: Array, y: Array, z: Array, last: int, nearest: Array, bits: Array, peaks: Array
) -> None:
    """Bring `nearest` up to date with sample `last`, and the maximum of each block."""
    px, py, pz = x[last], y[last], z[last]
    for block in range(len(peaks)):
        # Slices counted from 0: a loop from `low` would not vectorise, for fear of wrapping.
        low, high = block * BLOCK, block * BLOCK + BLOCK
        xs, ys, zs, near = x[low:high], y[low:high], z[low:high], nearest[low:high]
        for i in range(len(xs)):
            dx = xs[i] - px
            dy = ys[i] - py
            dz = zs[i] - pz
            squared = (dx * dx + dy * dy) + dz * dz
            near[i] = squared if squared < near[i] else near[i]
        near_bits = bits[low:high]
        peak = np.int32(0)
        for i in range(len(near_bits)):
            peak = max(peak, near_bits[i])
        peaks[block] = peak


@njit(cache=True, error_model="numpy")
def _first_peak(bits: Array, peaks: Array) -> int:
    block = 0
    for i in range(len(peaks)):
        if peaks[i] > peaks[block]:
            block = i
    i = block * BLOCK
    while bits[i] != peaks[block]:
        i += 1
    return i

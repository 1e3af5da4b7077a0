"""CPU loop of the Hilbert code: one point per step, its coordinates in registers."""

from __future__ import annotations

import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads


def hilbert_encode(grid: Tensor, depth: int) -> Tensor:
    """Return the places (...) int64 of the cells `grid` (..., 3) on the curve of `depth` bits."""
    code = torch.empty(grid.shape[:-1], dtype=torch.int64)
    limit_threads()
    _hilbert(grid.reshape(-1, 3).numpy(), depth, code.view(-1).numpy())
    return code


@njit(parallel=True, cache=True, error_model="numpy")
def _hilbert(grid: Array, depth: int, code: Array) -> None:
    for i in prange(code.shape[0]):
        x, y, z = grid[i, 0], grid[i, 1], grid[i, 2]
        place, gray = 0, 0
        for bit in range(depth - 1, -1, -1):
            low = (1 << bit) - 1
            if x >> bit & 1:
                x ^= low
            if y >> bit & 1:
                x ^= low
            else:
                differ = (x ^ y) & low
                x ^= differ
                y ^= differ
            if z >> bit & 1:
                x ^= low
            else:
                differ = (x ^ z) & low
                x ^= differ
                z ^= differ
            for value in (x, y, z):  # Gray code to binary: running xor from the top
                gray ^= value >> bit & 1
                place = place << 1 | gray
        code[i] = place

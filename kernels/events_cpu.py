"""CPU loops of the ops on events: where each event goes, then bands of cells side by side."""

from __future__ import annotations

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

TASK = 4096  # events, or cells
NARROW = 18  # bits of a share where both sums of a cell lie in one word
WIDE = 32  # bits of a share where each has a word of its own
FIELD = 41  # bits of the sum of shares: NARROW + 22, and the sign
MOST_NARROW = 1 << 22  # fewer events than this overflow neither part of a word


def event_histogram_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
) -> Tensor:
    """Return the counts (B, T, 2, H, W) int32."""
    bounds = _bounds(t, offsets)
    counts = torch.zeros(len(bounds) - 1, bins, 2, height, width, dtype=torch.int32)
    limit_threads()
    row = _rows(bounds, len(t))
    cell = _cells(*_events(x, y, t, p), bounds, row, _NO_TIMES, bins, height, width, split == "time")
    _add(cell, np.int32(1), counts.view(-1).numpy(), get_num_threads())
    return counts


def events_to_voxel_grid_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    signed: bool,
) -> Tensor:
    """Return the grid (B, T, 1 or 2, H, W) float32."""
    raise NotImplementedError

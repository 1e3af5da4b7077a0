"""CPU loop of the background-activity filter: the latest time of each pixel of a recording."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

STEPS = np.array([[0, -1], [0, 1], [-1, 0], [1, 0], [-1, -1], [-1, 1], [1, -1], [1, 1]])


def denoise_events_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    window: int,
    neighbours: int,
) -> Tensor:
    """Return which events (E,) bool have a neighbour that fired at most `window` before."""
    kept = torch.zeros(len(t), dtype=torch.bool)
    columns, rows = (part.to(torch.int16).contiguous().numpy() for part in (x, y))
    limit_threads()
    _filter(
        columns, rows, t.long().contiguous().numpy(), offsets.contiguous().numpy(), height, width,
        window, STEPS[:neighbours], kept.numpy(),
    )  # fmt: skip
    return kept


@njit(parallel=True, cache=True, error_model="numpy")
def _filter(
    x: Array, y: Array, t: Array, offsets: Array, height: int, width: int,
    window: int, steps: Array, kept: Array,
) -> None:  # fmt: skip
    for b in prange(len(offsets) - 1):
        if offsets[b] == offsets[b + 1]:
            continue
        # A border of pixels that never fire; times count from one, and 0 is never.
        last = np.zeros((height + 2, width + 2), np.int64)
        begin = t[offsets[b]] - 1
        for i in range(offsets[b], offsets[b + 1]):
            row, column, now = y[i] + 1, x[i] + 1, t[i] - begin
            for k in range(len(steps)):
                before = last[row + steps[k, 0], column + steps[k, 1]]
                if before > 0 and now - before <= window:
                    kept[i] = True
            last[row, column] = now

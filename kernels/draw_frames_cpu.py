"""CPU loop that draws frames of events: marks of one frame, then its picture at the new size."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads


def draw_frames_fwd(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    bounds: Tensor,
    height: int,
    width: int,
    taps: tuple[Tensor, ...],
    white: bool,
) -> Tensor:
    """Return the pictures (F, 3, h, w) float32.

    `taps` are the upper and lower source row of each row of the picture and the share of the lower,
    then the same of its columns.
    """
    shape = (len(bounds) - 1, 3, len(taps[0]), len(taps[3]))
    pictures = torch.empty(shape)
    columns, rows = (part.to(torch.int16).contiguous().numpy() for part in (x, y))
    positive = (p > 0).numpy()
    # Channels 0, 1 and 2 of a pixel without events, with negative, positive and both.
    colours = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]], np.float32)
    colours = colours if white else 1 - colours
    limit_threads()
    if (height, width) == shape[2:]:
        _draw(columns, rows, positive, bounds.contiguous().numpy(), colours, pictures.numpy())
    else:
        tables = tuple(tap.numpy() for tap in taps)
        _draw_resized(
            columns, rows, positive, bounds.contiguous().numpy(), height, width, colours, tables,
            pictures.numpy(),
        )  # fmt: skip
    return pictures


@njit(cache=True, error_model="numpy")
def _mark(
    x: Array, y: Array, positive: Array, first: int, stop: int, height: int, width: int
) -> Array:
    """Bits 0 and 1 of each pixel (H, W): it saw a negative, a positive event."""
    marks = np.zeros((height, width), np.uint8)
    for i in range(first, stop):
        marks[y[i], x[i]] |= np.uint8(2) if positive[i] else np.uint8(1)
    return marks


@njit(parallel=True, cache=True, error_model="numpy")
def _draw(
    x: Array, y: Array, positive: Array, bounds: Array, colours: Array, pictures: Array
) -> None:
    frames, _, height, width = pictures.shape
    for f in prange(frames):
        marks = _mark(x, y, positive, bounds[f], bounds[f + 1], height, width)
        for c in range(3):
            for r in range(height):
                for i in range(width):
                    pictures[f, c, r, i] = colours[c, marks[r, i]]


@njit(parallel=True, cache=True, error_model="numpy")
def _draw_resized(
    x: Array, y: Array, positive: Array, bounds: Array, height: int, width: int,
    colours: Array, taps: tuple[Array, ...], pictures: Array,
) -> None:  # fmt: skip
    upper, lower, down, left, right, along = taps
    for f in prange(len(bounds) - 1):
        marks = _mark(x, y, positive, bounds[f], bounds[f + 1], height, width)
        row = np.empty(width, np.float32)
        for c in range(3):
            for r in range(pictures.shape[2]):
                for i in range(width):
                    above = colours[c, marks[upper[r], i]]
                    row[i] = above + (colours[c, marks[lower[r], i]] - above) * down[r]
                for i in range(pictures.shape[3]):
                    before = row[left[i]]
                    pictures[f, c, r, i] = before + (row[right[i]] - before) * along[i]

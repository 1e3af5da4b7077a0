"""CPU loop of adaptive frames: halves are split while their opened counts differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

CHANNELS = 3  # the counts stand in each channel of a picture, and the difference sums over them


def adaptive_frames_fwd(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    num_frames: int,
    height: int,
    width: int,
    min_events: int,
    threshold: float,
) -> Tensor:
    """Return the bounds (B, T + 1) int64 of the frames."""
    bounds = torch.empty(len(offsets) - 1, num_frames + 1, dtype=torch.int64)
    columns, rows = (part.to(torch.int16).contiguous().numpy() for part in (x, y))
    limit_threads()
    _search(
        columns, rows, (p > 0).numpy(), offsets.contiguous().numpy(), height, width, min_events,
        threshold, bounds.numpy(),
    )  # fmt: skip
    return bounds


@njit(parallel=True, cache=True, error_model="numpy")
def _search(
    x: Array, y: Array, positive: Array, offsets: Array, height: int, width: int,
    min_events: int, threshold: float, bounds: Array,
) -> None:  # fmt: skip
    for b in prange(len(offsets) - 1):
        first, stop = offsets[b], offsets[b + 1]
        ends = _split(x, y, positive, first, stop, height, width, min_events, threshold)
        _fit(ends, first, bounds[b])


@njit(cache=True, error_model="numpy")
def _split(
    x: Array, y: Array, positive: Array, first: int, stop: int, height: int, width: int,
    min_events: int, threshold: float,
) -> Array:  # fmt: skip
    """Ends of the frames, as many as the recording asks for; parts wait on a stack."""
    ends = np.empty(2 * ((stop - first) // (min_events + 1)) + 2, np.int64)
    count, waiting = 0, [(first, stop)]
    while len(waiting) > 0:
        begin, end = waiting.pop()
        half = (end - begin) // 2
        middle = begin + half
        change = _change(x, y, positive, begin, middle, end, height, width)
        if begin == end or 200.0 * CHANNELS * change / (end - begin) <= threshold:
            ends[count] = end
            count += 1
        elif half <= min_events:
            ends[count], ends[count + 1] = middle, end
            count += 2
        else:
            waiting.append((middle, end))
            waiting.append((begin, middle))
    return ends[:count]


@njit(cache=True, error_model="numpy")
def _change(
    x: Array, y: Array, positive: Array, begin: int, middle: int, end: int, height: int, width: int
) -> Any:
    """Sum over pixels of the difference between the opened counts of both halves."""
    counts = np.zeros((2, 2, height, width), np.int32)
    for i in range(begin, end):
        counts[0 if i < middle else 1, 1 if positive[i] else 0, y[i], x[i]] += 1
    for part in range(2):
        for sign in range(2):
            _open(counts[part, sign])
    total = np.int64(0)
    for r in range(height):
        for c in range(width):
            before, after = counts[0, :, r, c].sum(), counts[1, :, r, c].sum()
            total += abs(before - after)
    return total


@njit(cache=True, error_model="numpy")
def _open(image: Array) -> None:
    """Erode, then dilate over a pixel and those left of, above and above left of it, in place.

    From the end to the beginning, so that the pixels still to be read have their old values.
    """
    height, width = image.shape
    for r in range(height - 1, -1, -1):
        for c in range(width - 1, -1, -1):
            up, left = max(r - 1, 0), max(c - 1, 0)
            image[r, c] = min(image[r, c], image[up, c], image[r, left], image[up, left])
    for r in range(height - 1, -1, -1):
        for c in range(width - 1, -1, -1):
            up, left = max(r - 1, 0), max(c - 1, 0)
            image[r, c] = max(image[r, c], image[up, c], image[r, left], image[up, left])


@njit(cache=True, error_model="numpy")
def _fit(ends: Array, first: int, bounds: Array) -> None:
    """Merge the neighbours with the fewest events, or halve the largest frame, up to T frames."""
    frames, count = len(bounds) - 1, len(ends)
    edges = np.empty(max(count, frames) + 1, np.int64)
    edges[0] = first
    edges[1 : count + 1] = ends
    while count > frames:
        pair = np.argmin(edges[2 : count + 1] - edges[: count - 1])
        edges[pair + 1 : count] = edges[pair + 2 : count + 1]
        count -= 1
    while count < frames:
        largest = np.argmax(edges[1 : count + 1] - edges[:count])
        half = (edges[largest + 1] - edges[largest]) // 2
        edges[largest + 2 : count + 2] = edges[largest + 1 : count + 1].copy()
        edges[largest + 1] = edges[largest] + half
        count += 1
    bounds[:] = edges[: frames + 1]

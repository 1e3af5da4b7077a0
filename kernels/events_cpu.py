"""CPU loops of the ops on events: where each event goes, then bands of cells side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads

TASK = 4096  # events, or cells
NARROW = 20  # bits of a share where both sums of a cell lie in one word
WIDE = 32  # bits of a share where each has a word of its own
FIELD = 42  # bits of the sum of shares: NARROW + 21, and the sign
MOST_NARROW = 1 << 21  # fewer events than this overflow neither part of a word


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
    columns, rows, times, signs = _events(x, y, t, p)
    bounds, row = _recordings(times, offsets)
    counts = torch.zeros(len(bounds) - 1, bins, 2, height, width, dtype=torch.int32)
    limit_threads()
    frame = _frames(times, bounds, row, bins, split == "time")
    cell = _cells(columns, rows, signs, row, frame, bins, height, width)
    _add(cell, np.ones(1, np.int64), counts.view(-1).numpy(), get_num_threads())
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
    columns, rows, times, signs = _events(x, y, t, p)
    bounds, row = _recordings(times, offsets)
    channels = 1 if signed else 2
    sums = torch.zeros(len(bounds) - 1, bins, channels, height, width, dtype=torch.int64)
    grid = torch.empty(sums.shape)
    narrow = len(times) < MOST_NARROW
    bits, plane = NARROW if narrow else WIDE, channels * height * width
    limit_threads()
    before, share = _shares(times, bounds, row, bins, bits)
    sign = np.where(signs > 0, 1, -1) if signed else np.ones(len(signs), np.int64)
    channel = np.zeros(len(signs), np.int64) if signed else signs
    cell = _cells(columns, rows, channel, row, before, bins, height, width, channels)
    flat, bands = sums.view(-1).numpy(), get_num_threads()
    if narrow:
        _add(cell, sign * ((1 << FIELD) + share), flat, bands)
    else:
        _add(cell, sign * ((1 << bits) - share), flat, bands)
        last = before == bins - 1  # nothing is left to share: it stands on the last instant
        _add(np.where(last, -1, cell + plane), sign * share, flat, bands)
    _unpack(flat, grid.view(-1).numpy(), bins, plane, narrow, bits)
    return grid


def time_surface_fwd(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    at: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
    tau: float,
    decay: str,
) -> Tensor:
    """Return the surfaces (B, T, 2, H, W) float32."""
    columns, rows, times, signs = _events(x, y, t, p)
    bounds, row = _recordings(times, offsets)
    surface, plane = torch.zeros(len(bounds) - 1, bins, 2, height, width), 2 * height * width
    limit_threads()
    if at is None:
        frame = _frames(times, bounds, row, bins, split == "time")
        ends = _ends(times, bounds, bins, split == "time")
    else:
        ends = at.contiguous().numpy()
        frame = _frames_at(times, row, ends)
    cell = _cells(columns, rows, signs, row, frame, bins, height, width)
    last = np.zeros(surface.numel(), np.int64)
    _latest(cell, times - times[bounds[row]] + 1, last, get_num_threads())
    begin = times[np.minimum(bounds[:-1], max(len(times) - 1, 0))] if len(times) else bounds[:-1]
    _age(
        last.reshape((*surface.shape[:2], plane)), ends - begin[:, None],
        np.float32(1.0 / tau), decay == "linear", surface.flatten(2).numpy(),
    )  # fmt: skip
    return surface


def _events(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> tuple[Array, ...]:
    """Return columns, rows, times and polarity channels, int64."""
    return x.long().numpy(), y.long().numpy(), t.long().numpy(), (p > 0).long().numpy()


def _recordings(t: Array, offsets: Tensor | None) -> tuple[Array, Array]:
    """Return the bounds (B + 1,) of the recordings and the recording of each event."""
    if offsets is None:
        return np.array([0, len(t)]), np.zeros(len(t), np.int64)
    bounds = offsets.contiguous().numpy()
    return bounds, np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))


@njit(parallel=True, cache=True, error_model="numpy")
def _frames(t: Array, bounds: Array, row: Array, bins: int, by_time: bool) -> Array:
    """Frame of each event: of equal spans of time, or of equal counts."""
    frame = np.empty(len(t), np.int64)
    for i in prange(len(t)):
        first, stop = bounds[row[i]], bounds[row[i] + 1]
        if by_time:
            span = t[stop - 1] - t[first] + 1
            frame[i] = min((t[i] - t[first]) * bins // span, bins - 1)
        else:
            frame[i] = (i - first) * bins // (stop - first)
    return frame


@njit(cache=True, error_model="numpy")
def _frames_at(t: Array, row: Array, at: Array) -> Array:
    """First of the rising times at or after each event; their number where there is none."""
    frame = np.empty(len(t), np.int64)
    for i in range(len(t)):
        frame[i] = np.searchsorted(at[row[i]], t[i])
    return frame


@njit(cache=True, error_model="numpy")
def _ends(t: Array, bounds: Array, bins: int, by_time: bool) -> Array:
    """Last time of each frame (B, T); 0 for a recording without events."""
    ends = np.zeros((len(bounds) - 1, bins), np.int64)
    for b in range(len(bounds) - 1):
        first, length = bounds[b], bounds[b + 1] - bounds[b]
        if length == 0:
            continue
        begin, span = t[first], t[first + length - 1] - t[first] + 1
        for f in range(bins):
            if by_time:
                ends[b, f] = begin + ((f + 1) * span + bins - 1) // bins - 1
            else:
                ends[b, f] = t[first + ((f + 1) * length + bins - 1) // bins - 1]
    return ends


@njit(parallel=True, cache=True, error_model="numpy")
def _shares(t: Array, bounds: Array, row: Array, bins: int, bits: int) -> tuple[Array, Array]:
    """Instant before each event, and the share of the instant after it in units of 2**-bits."""
    before, share = np.empty(len(t), np.int64), np.empty(len(t), np.int64)
    for i in prange(len(t)):
        first, stop = bounds[row[i]], bounds[row[i] + 1]
        span = max(t[stop - 1] - t[first], 1)
        place = np.float64((t[i] - t[first]) * (bins - 1)) / np.float64(span)
        before[i] = np.int64(place)
        share[i] = np.int64((place - before[i]) * (1 << bits) + 0.5)
    return before, share


@njit(parallel=True, cache=True, error_model="numpy")
def _cells(
    x: Array, y: Array, channel: Array, row: Array, frame: Array,
    bins: int, height: int, width: int, channels: int = 2,
) -> Array:  # fmt: skip
    """Cell of each event in (B, T, channels, H, W), -1 where its frame is none of the T."""
    cell = np.empty(len(x), np.int64)
    for i in prange(len(x)):
        plane = (row[i] * bins + frame[i]) * channels + channel[i]
        cell[i] = (plane * height + y[i]) * width + x[i] if frame[i] < bins else -1
    return cell


@njit(parallel=True, cache=True, error_model="numpy")
def _add(cell: Array, value: Array, sums: Array, bands: int) -> None:
    """Add to each cell; a thread owns a band of them, so no two write to one."""
    for band in prange(bands):
        low, high = len(sums) * band // bands, len(sums) * (band + 1) // bands
        for i in range(len(cell)):
            if low <= cell[i] < high:
                sums[cell[i]] += value[i] if len(value) > 1 else value[0]


@njit(parallel=True, cache=True, error_model="numpy")
def _latest(cell: Array, time: Array, last: Array, bands: int) -> None:
    """Keep the largest time of each cell."""
    for band in prange(bands):
        low, high = len(last) * band // bands, len(last) * (band + 1) // bands
        for i in range(len(cell)):
            if low <= cell[i] < high:
                last[cell[i]] = max(last[cell[i]], time[i])


@njit(parallel=True, cache=True, error_model="numpy")
def _unpack(sums: Array, grid: Array, bins: int, plane: int, narrow: bool, bits: int) -> None:
    """Turn sums into float32; a word holds a number of events above and a sum of shares below."""
    scale = 1.0 / (1 << bits)
    for i in prange(len(sums)):
        total = sums[i]
        if narrow:
            own = (total << (64 - FIELD)) >> (64 - FIELD)
            kept = 0
            if i // plane % bins > 0:
                kept = (sums[i - plane] << (64 - FIELD)) >> (64 - FIELD)
            total = (((total - own) >> FIELD) << bits) - own + kept
        grid[i] = np.float32(np.float64(total) * scale)


@njit(parallel=True, cache=True, error_model="numpy")
def _age(last: Array, now: Array, rate: Any, linear: bool, surface: Array) -> None:
    """Draw (B, T, pixels) from the latest times, one more than since the first event."""
    recordings, bins, pixels = last.shape
    for task in prange((pixels + TASK - 1) // TASK):
        low, high = task * TASK, min(task * TASK + TASK, pixels)
        for b in range(recordings):
            seen = np.zeros(high - low, np.int64)
            for f in range(bins):
                for i in range(high - low):
                    seen[i] = max(seen[i], last[b, f, low + i])
                    age = np.float32(now[b, f] + 1 - seen[i]) * rate
                    value = max(np.float32(1.0) - age, np.float32(0.0)) if linear else np.exp(-age)
                    surface[b, f, low + i] = value if seen[i] > 0 else np.float32(0.0)

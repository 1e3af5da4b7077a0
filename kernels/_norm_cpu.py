"""What the CPU loops with batch normalisation share: layout, statistics, constants of a channel.

Rows are summed in blocks of a size that depends on the channels alone, and the blocks in float64
in rising order: the same sums for any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array
from pcmamba.kernels._lanes import LANES, fma, load, splat, store
from pcmamba.kernels._rows_cpu import add_to, clear, flat_rows, pad_channels

BLOCK_NUMBERS = 32768  # numbers of a block: 128 KiB stay in a core's cache


class Rows(NamedTuple):
    """Rows as the loops read them, flat float32; channels padded to a multiple of 16."""

    values: Array
    stride: int
    total: int
    channels: int


class Channels(NamedTuple):
    """Constants of each channel, float32: y = (x - mean) rstd weight + bias."""

    mean: Array
    rstd: Array
    weight: Array
    bias: Array


def rows_of(x: Tensor) -> Rows:
    """Lay out (R, C) for the loops."""
    channels = pad_channels(x.shape[1])
    return Rows(*flat_rows(x, channels), len(x), channels)


def channels_of(
    rows: Rows, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float
) -> Channels:
    """Lay out the constants of the channels."""
    rstd = (var.double() + eps).rsqrt()
    return Channels(*(flat_rows(v[None], rows.channels)[0] for v in (mean, rstd, weight, bias)))


def statistics(x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return the mean (C,) and the biased variance (C,) of rows, float32."""
    size = rows_per_block(rows.channels)
    parts = np.empty((-(-rows.total // size), 2, rows.channels), np.float32)
    _sum_blocks(rows, size, parts.reshape(-1))
    moments = torch.empty(2, rows.channels)
    _merge_blocks(rows, size, parts, moments.numpy())
    mean, var = (part[: x.shape[1]].clone() for part in moments)
    return mean, var


def rows_per_block(channels: int) -> int:
    """Return how many rows one task takes."""
    return max(1, BLOCK_NUMBERS // max(channels, 1))


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_blocks(x: Rows, size: int, parts: Array) -> None:
    """Write sum and sum of squares of each block, both about the block's first row."""
    width = x.channels
    for block in prange((x.total + size - 1) // size):
        first = block * size
        sums = parts[2 * block * width : 2 * (block + 1) * width]
        clear(sums)
        for row in range(first, min(first + size, x.total)):
            for c in range(0, width, LANES):
                d = load(x.values, row * x.stride + c) - load(x.values, first * x.stride + c)
                add_to(sums, c, d)
                store(sums, width + c, fma(d, d, load(sums, width + c)))


@njit(cache=True, error_model="numpy")
def _merge_blocks(x: Rows, size: int, parts: Array, moments: Array) -> None:
    """Merge the blocks' moments (Chan, Golub and LeVeque, 1979)."""
    middle = np.zeros(x.channels)
    for c in range(x.channels):
        for block in range(len(parts)):
            rows = min(size, x.total - block * size)
            start = x.values[block * size * x.stride + c]
            middle[c] += (rows * np.float64(start) + parts[block, 0, c]) / x.total
        moments[0, c] = middle[c]
    for c in range(x.channels):
        spread = 0.0
        for block in range(len(parts)):
            rows = min(size, x.total - block * size)
            shift = parts[block, 0, c] / np.float64(rows)
            away = x.values[block * size * x.stride + c] + shift - middle[c]
            spread += parts[block, 1, c] - rows * shift * shift + rows * away * away
        moments[1, c] = max(spread, 0.0) / x.total


@njit(cache=True, error_model="numpy")
def merge_sums(parts: Array, sums: Array) -> None:
    """Add parts (blocks, 2, C) up in float64, in order, to sums (2, C) float32."""
    for which in range(2):
        for c in range(parts.shape[2]):
            total = 0.0
            for block in range(len(parts)):
                total += parts[block, which, c]
            sums[which, c] = total


def gradient_constants(channels: Channels, sums: Array, count: int, own: bool) -> Array:
    """Return (3 * C): factors of the gradient, of one and of the normalised value in dx.

    Args:
        channels: Constants of the channels.
        sums: (2, C) sums over the rows of the gradient and of gradient times normalised value.
        count: Rows.
        own: Whether the statistics are those of the rows.
    """
    factor = channels.weight.astype(np.float64) * channels.rstd
    rest = -factor * sums / count if own else np.zeros(sums.shape)
    return np.concatenate([factor, rest[0], rest[1]]).astype(np.float32)


@njit(error_model="numpy")
def constants_at(channels: Channels, c: int):  # type: ignore[no-untyped-def]  # vectors of numba
    """Read the constants of sixteen channels."""
    return (
        load(channels.mean, c),
        load(channels.rstd, c),
        load(channels.weight, c),
        load(channels.bias, c),
    )


@njit(error_model="numpy")
def nothing():  # type: ignore[no-untyped-def]  # a vector of numba
    """Sixteen zeros."""
    return splat(np.float32(0))

"""CPU loops of the end of a local group: normalise, add, keep the largest neighbour.

The groups are read twice forward and backward, and only the winners' numbers enter the sums of
the gradients. A neighbour's number is held as a float among the lanes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.nn import functional as F

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import (
    LANES,
    at_least,
    fma,
    load,
    load_bytes,
    splat,
    store,
    store_bytes,
    where_equal,
    where_greater,
)
from pcmamba.kernels._norm_cpu import (
    Channels,
    Rows,
    channels_of,
    constants_at,
    gradient_constants,
    merge_sums,
    nothing,
    rows_of,
    rows_per_block,
    statistics,
)
from pcmamba.kernels._rows_cpu import add_to, clear


class Pooled(NamedTuple):
    """What the backward pass reads of each query, flat and padded."""

    grad: Array  # (Q * C), float32
    out: Array  # (Q * C), float32
    winner: Array  # (Q * C), uint8
    queries: int
    k: int


def batch_norm_max_fwd(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return out (B, M, C), the winning neighbours (uint8), and mean and biased variance (C,).

    The statistics are empty where both are given.
    """
    limit_threads()
    clouds, queries, k, width = x.shape
    flat = x.reshape(-1, width)
    rows, added = rows_of(flat), rows_of(shortcut.reshape(-1, width))
    if mean is None or var is None:
        found = mean, var = statistics(flat, rows)
    else:
        found = torch.empty(0), torch.empty(0)
    channels = channels_of(rows, weight, bias, mean, var, eps)
    out = torch.empty(clouds, queries, rows.channels)
    winner = torch.empty(out.shape, dtype=torch.uint8)
    _pool(rows, added, channels, k, out.view(-1).numpy(), winner.view(-1).numpy())
    best = out[..., :width].contiguous().to(x.dtype)
    return best, winner[..., :width].contiguous(), *found


def batch_norm_max_bwd(
    grad: Tensor,
    x: Tensor,
    out: Tensor,
    winner: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, shortcut (B, M, K, C), weight and bias (C,)."""
    limit_threads()
    width, rows = x.shape[-1], rows_of(x.reshape(-1, x.shape[-1]))
    channels = channels_of(rows, weight, weight, mean, var, eps)
    pooled = _pooled(grad, out, winner, rows.channels, x.shape[2])
    size = rows_per_block(rows.channels)
    parts = np.empty((-(-pooled.queries // size), 2, rows.channels), np.float32)
    _sum_winners(rows, pooled, channels, size, parts.reshape(-1))
    sums = torch.empty(2, rows.channels)
    merge_sums(parts, sums.numpy())
    constants = gradient_constants(channels, sums.numpy(), rows.total, own)
    dx, dshortcut = (torch.empty(*x.shape[:-1], rows.channels) for _ in range(2))
    _spread_winners(
        rows, pooled, channels, constants, dx.view(-1).numpy(), dshortcut.view(-1).numpy()
    )
    dx, dshortcut = (t[..., :width].contiguous().to(x.dtype) for t in (dx, dshortcut))
    return dx, dshortcut, sums[1, :width].clone(), sums[0, :width].clone()


def _pooled(grad: Tensor, out: Tensor, winner: Tensor, channels: int, k: int) -> Pooled:
    extra = (0, channels - out.shape[-1])
    grad, out, winner = (F.pad(t, extra).contiguous() for t in (grad.float(), out.float(), winner))
    flat = grad.view(-1).numpy(), out.view(-1).numpy(), winner.view(-1).numpy()
    return Pooled(*flat, out.shape[0] * out.shape[1], k)


@njit(parallel=True, cache=True, error_model="numpy")
def _pool(x: Rows, shortcut: Rows, channels: Channels, k: int, out: Array, winner: Array) -> None:
    for query in prange(x.total // k):
        for c in range(0, x.channels, LANES):
            mean, rstd, weight, bias = constants_at(channels, c)
            best, number = splat(np.float32(-np.inf)), nothing()
            for j in range(k):
                row = query * k + j
                value = fma((load(x.values, row * x.stride + c) - mean) * rstd, weight, bias)
                value = value + load(shortcut.values, row * shortcut.stride + c)
                number = where_greater(value, best, splat(np.float32(j)), number)
                best = where_greater(value, best, value, best)
            store(out, query * x.channels + c, at_least(best, nothing()))
            store_bytes(winner, query * x.channels + c, number)


@njit(parallel=True, cache=True, error_model="numpy")
def _sum_winners(x: Rows, pooled: Pooled, channels: Channels, size: int, parts: Array) -> None:
    width = x.channels
    for block in prange((pooled.queries + size - 1) // size):
        sums = parts[2 * block * width : 2 * (block + 1) * width]
        clear(sums)
        for query in range(block * size, min((block + 1) * size, pooled.queries)):
            for c in range(0, width, LANES):
                passed, number = _passed(pooled, query * width + c)
                mean, rstd, _, _ = constants_at(channels, c)
                value = nothing()
                for j in range(pooled.k):
                    here = load(x.values, (query * pooled.k + j) * x.stride + c)
                    value = where_equal(number, splat(np.float32(j)), here, value)
                add_to(sums, c, passed)
                add_to(sums, width + c, passed * ((value - mean) * rstd))


@njit(error_model="numpy")
def _passed(pooled: Pooled, at: int):  # type: ignore[no-untyped-def]  # vectors of numba
    """Return the gradient of sixteen maxima before the cut, and who takes it."""
    grad = load(pooled.grad, at)
    passed = where_greater(load(pooled.out, at), nothing(), grad, nothing())
    return passed, load_bytes(pooled.winner, at)


@njit(parallel=True, cache=True, error_model="numpy")
def _spread_winners(
    x: Rows, pooled: Pooled, channels: Channels, constants: Array, dx: Array, dshortcut: Array
) -> None:
    width = x.channels
    for query in prange(pooled.queries):
        for c in range(0, width, LANES):
            passed, number = _passed(pooled, query * width + c)
            mean, rstd, _, _ = constants_at(channels, c)
            factor, shift = load(constants, c), load(constants, width + c)
            slope = load(constants, 2 * width + c)
            for j in range(pooled.k):
                row = query * pooled.k + j
                own = where_equal(number, splat(np.float32(j)), passed, nothing())
                value = (load(x.values, row * x.stride + c) - mean) * rstd
                store(dshortcut, row * width + c, own)
                store(dx, row * width + c, fma(value, slope, fma(factor, own, shift)))

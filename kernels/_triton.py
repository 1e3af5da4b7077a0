"""Device helpers that several Triton kernels share."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def exp_nonpositive(v):
    """exp(v) for v <= 0 through the hardware's exp2, with the rounding of the product made good."""
    high = v * LOG2E
    low = tl.fma(v, LOG2E, -high)
    return tl.exp2(high) * (1.0 + low * LN2)


@triton.jit
def reciprocal(v):
    """1 / v for v >= 1, one Newton step after the hardware's inverse square root."""
    root = tl.rsqrt(v)
    guess = root * root
    return guess * (2.0 - v * guess)


@triton.jit
def softplus(v):
    """log(1 + exp(v)), and v itself above 20; accurate to the last digits for very negative v.

    log1p(x) = 2 atanh(x / (2 + x)) as a series: x <= 1, so the argument is at most 1/3.
    """
    x = exp_nonpositive(-tl.abs(v))
    s = x * reciprocal(2.0 + x)
    q = s * s
    series = 0.15384615 + q * 0.13333334
    series = 0.18181819 + q * series
    series = 0.22222222 + q * series
    series = 0.2857143 + q * series
    series = 0.4 + q * series
    series = 0.6666667 + q * series
    small = s * (2.0 + q * series)
    return tl.where(v > 20.0, v, tl.maximum(v, 0.0) + small)


@triton.jit
def sigmoid(v):
    """1 / (1 + exp(-v)) without overflow on either side."""
    x = exp_nonpositive(-tl.abs(v))
    return tl.where(v >= 0.0, 1.0, x) * reciprocal(1.0 + x)


@triton.jit
def pick(tile, chosen, AXIS: tl.constexpr):
    """The one slice of `tile` along AXIS where `chosen`, of one true entry, is true, bit for bit.

    As integers, x + 0 = x holds for every bit pattern, so the compiler drops the whole sum when a
    thread holds all of the axis; as floats it may not.
    """
    bits = tl.where(chosen, tile.to(tl.int32, bitcast=True), 0)
    return tl.sum(bits, axis=AXIS).to(tl.float32, bitcast=True)


@triton.jit
def swap(tile, AXIS: tl.constexpr):
    """Exchange the two slices of an axis of size two, bit for bit: (x + y) - x is y."""
    bits = tile.to(tl.int32, bitcast=True)
    return (tl.sum(bits, axis=AXIS, keep_dims=True) - bits).to(tl.float32, bitcast=True)


@triton.jit
def _halve(tile, ROWS: tl.constexpr, DONE: tl.constexpr, LEFT: tl.constexpr):
    """Add the halves of the last axis, so that each half keeps the sums of half of the rows.

    (2 ROWS, DONE, 2 LEFT) -> (ROWS, 2 DONE, LEFT): row (i, j) moves to (j, (done, i)).
    """
    tile = tl.reshape(tile, (2, ROWS, DONE, 2, LEFT))
    of_rows = (tl.arange(0, 2) == 1)[:, None, None, None, None]
    top = pick(tile, of_rows == 0, 0)
    bottom = pick(tile, of_rows, 0)
    of_lanes = (tl.arange(0, 2) == 1)[None, None, :, None]
    kept = tl.where(of_lanes, bottom, top)
    sent = tl.where(of_lanes, top, bottom)
    return tl.reshape(kept + swap(sent, 2), (ROWS, 2 * DONE, LEFT))


@triton.jit
def sum_rows(tile):
    """Row sums (16,) of `tile` (16, 32), the additions in a fixed order.

    In a warp whose lanes are the columns this takes 16 shuffles; `tl.sum` takes 80.
    """
    tile = tl.reshape(tile, (16, 1, 32))
    tile = _halve(tile, 8, 1, 16)
    tile = _halve(tile, 4, 2, 8)
    tile = _halve(tile, 2, 4, 4)
    tile = _halve(tile, 1, 8, 2)
    return tl.sum(tl.reshape(tile, (16, 2)), axis=1)

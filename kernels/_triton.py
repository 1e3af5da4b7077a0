"""Device helpers that several Triton kernels share."""

# mypy: disable-error-code="no-untyped-def"

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

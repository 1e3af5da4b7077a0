"""What the Triton scans share: rows, steps and channels as a program loads them."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._triton import sigmoid, softplus

LOG2E = 1.4426950408889634


@triton.jit
def then(a_left, b_left, a_right, b_right):
    return a_left * a_right, a_right * b_left + b_right


@triton.jit
def rows_of(steps, start, length, perm_ptr, REVERSE: tl.constexpr):
    """Rows that the steps read, clipped into the sequence."""
    rows = tl.minimum(tl.maximum(steps, 0), length - 1)
    if REVERSE:
        rows = length - 1 - rows
    if perm_ptr is not None:
        rows = tl.load(perm_ptr + start + rows)
    return start + rows


@triton.jit
def load_rows(ptr, rows, stride, cols, mask):
    value = tl.load(ptr + rows[:, None] * stride + cols[None, :], mask=mask, other=0.0)
    return value.to(tl.float32)


@triton.jit
def steps_of(delta_ptr, rows, stride, offs_d, mask, bias, SOFTPLUS: tl.constexpr):
    """Step sizes, 0 outside the sequence, and their slope in delta."""
    v = load_rows(delta_ptr, rows, stride, offs_d, mask) + bias[None, :]
    slope = tl.full(v.shape, 1.0, tl.float32)
    if SOFTPLUS:
        slope = tl.where(v > 20.0, 1.0, sigmoid(v))
        v = softplus(v)
    return tl.where(mask, v, 0.0), tl.where(mask, slope, 0.0)


@triton.jit
def load_vector(ptr, offs, mask):
    if ptr is None:
        return tl.zeros(offs.shape, tl.float32)
    return tl.load(ptr + offs, mask=mask, other=0.0).to(tl.float32)


def contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def row_stride(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)

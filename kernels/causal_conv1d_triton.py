"""Triton kernels of the causal depthwise convolution over ragged rows, with SiLU.

A program owns a tile of rows and channels and finds the bounds of its rows' sequences by bisection.
The backward pass recomputes the sum before SiLU; the gradient of x is the same convolution in the
other direction. Sums over rows go through one partial a tile and are added in a fixed order.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._triton import sigmoid

BLOCK_T, BLOCK_D = 32, 64


def causal_conv1d_fwd(
    x: Tensor, weight: Tensor, bias: Tensor | None, offsets: Tensor, silu: bool, reverse: bool
) -> Tensor:
    """Return y (T, D) in the dtype of x."""
    return _convolve(x, weight, bias, offsets, silu, reverse, x.dtype)


def causal_conv1d_bwd(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx (T, D), dweight (D, W) and dbias (D,) in float32."""
    rows, width = x.shape
    taps = weight.shape[1]
    blocks = triton.cdiv(rows, BLOCK_T)
    dsum = torch.empty(rows, width, dtype=torch.float32, device=x.device)
    partial = torch.empty(blocks, taps + 1, width, dtype=torch.float32, device=x.device)
    if x.numel():
        _sum_bwd_kernel[(blocks, triton.cdiv(width, BLOCK_D))](
            grad_y,
            x,
            weight,
            weight if bias is None else bias,
            offsets,
            dsum,
            partial,
            rows,
            width,
            len(offsets) - 1,
            grad_y.stride(0),
            x.stride(0),
            weight.stride(0),
            **_options(taps, bias, silu, reverse, offsets),
        )
    total = partial.sum(0)
    dx = _convolve(dsum, weight, None, offsets, False, not reverse, x.dtype)
    return dx, total[:taps].t().contiguous(), total[taps]


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
    dtype: torch.dtype,
) -> Tensor:
    rows, width = x.shape
    y = torch.empty(rows, width, dtype=dtype, device=x.device)
    if x.numel():
        _conv_kernel[(triton.cdiv(rows, BLOCK_T), triton.cdiv(width, BLOCK_D))](
            x,
            weight,
            weight if bias is None else bias,
            offsets,
            y,
            rows,
            width,
            len(offsets) - 1,
            x.stride(0),
            weight.stride(0),
            **_options(weight.shape[1], bias, silu, reverse, offsets),
        )
    return y


def _options(
    taps: int, bias: Tensor | None, silu: bool, reverse: bool, offsets: Tensor
) -> dict[str, int | bool]:
    return {
        "TAPS": taps,
        "HAS_BIAS": bias is not None,
        "SILU": silu,
        "REVERSE": reverse,
        "HALVINGS": (len(offsets) - 1).bit_length(),
        "BLOCK_T": BLOCK_T,
        "BLOCK_D": BLOCK_D,
    }


@triton.jit
def _bounds(offsets_ptr, rows, sequences, HALVINGS: tl.constexpr):
    """First and last row, exclusive, of the sequence that holds each row."""
    low = tl.zeros_like(rows)
    high = tl.zeros_like(rows) + sequences
    for _ in tl.static_range(HALVINGS):
        middle = (low + high) // 2
        right = tl.load(offsets_ptr + middle) <= rows
        low = tl.where(right, middle, low)
        high = tl.where(right, high, middle)
    return tl.load(offsets_ptr + low), tl.load(offsets_ptr + low + 1)


@triton.jit
def _tap_rows(rows, begin, end, tap, TAPS: tl.constexpr, REVERSE: tl.constexpr):
    ahead: tl.constexpr = 1 if REVERSE else -1
    source = rows + ahead * (TAPS - 1 - tap)
    return source, (source >= begin) & (source < end)


@triton.jit
def _sum_before_silu(
    x_ptr,
    weight_ptr,
    bias_ptr,
    rows,
    begin,
    end,
    mask_t,
    offs_d,
    mask_d,
    stride_x,
    stride_w,
    TAPS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    REVERSE: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    total = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
    if HAS_BIAS:
        total += tl.load(bias_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        source, inside = _tap_rows(rows, begin, end, tap, TAPS, REVERSE)
        mask = (inside & mask_t)[:, None] & mask_d[None, :]
        x = tl.load(x_ptr + source[:, None] * stride_x + offs_d[None, :], mask=mask, other=0.0)
        w = tl.load(weight_ptr + offs_d * stride_w + tap, mask=mask_d, other=0.0)
        total += x.to(tl.float32) * w.to(tl.float32)[None, :]
    return total


@triton.jit
def _conv_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    offsets_ptr,
    y_ptr,
    num_rows,
    width,
    sequences,
    stride_x,
    stride_w,
    TAPS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
    HALVINGS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_t, mask_d = rows < num_rows, offs_d < width
    begin, end = _bounds(offsets_ptr, rows, sequences, HALVINGS)
    y = _sum_before_silu(
        x_ptr, weight_ptr, bias_ptr, rows, begin, end, mask_t, offs_d, mask_d, stride_x, stride_w,
        TAPS, HAS_BIAS, REVERSE, BLOCK_T, BLOCK_D,
    )  # fmt: skip
    if SILU:
        y = y * sigmoid(y)
    places = y_ptr + rows[:, None] * width + offs_d[None, :]
    tl.store(places, y.to(y_ptr.dtype.element_ty), mask=mask_t[:, None] & mask_d[None, :])


@triton.jit
def _sum_bwd_kernel(
    grad_ptr,
    x_ptr,
    weight_ptr,
    bias_ptr,
    offsets_ptr,
    dsum_ptr,
    partial_ptr,
    num_rows,
    width,
    sequences,
    stride_grad,
    stride_x,
    stride_w,
    TAPS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
    HALVINGS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    block = tl.program_id(0).to(tl.int64)
    rows = block * BLOCK_T + tl.arange(0, BLOCK_T)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_t, mask_d = rows < num_rows, offs_d < width
    mask = mask_t[:, None] & mask_d[None, :]
    begin, end = _bounds(offsets_ptr, rows, sequences, HALVINGS)
    grad = tl.load(grad_ptr + rows[:, None] * stride_grad + offs_d[None, :], mask=mask, other=0.0)
    dsum = grad.to(tl.float32)
    if SILU:
        total = _sum_before_silu(
            x_ptr, weight_ptr, bias_ptr, rows, begin, end, mask_t, offs_d, mask_d,
            stride_x, stride_w, TAPS, HAS_BIAS, REVERSE, BLOCK_T, BLOCK_D,
        )  # fmt: skip
        s = sigmoid(total)
        dsum = dsum * (s * (1.0 + total * (1.0 - s)))
    tl.store(dsum_ptr + rows[:, None] * width + offs_d[None, :], dsum, mask=mask)
    partial = partial_ptr + block * (TAPS + 1) * width + offs_d
    for tap in tl.static_range(TAPS):
        source, inside = _tap_rows(rows, begin, end, tap, TAPS, REVERSE)
        mask_x = (inside & mask_t)[:, None] & mask_d[None, :]
        x = tl.load(x_ptr + source[:, None] * stride_x + offs_d[None, :], mask=mask_x, other=0.0)
        tl.store(partial + tap * width, tl.sum(dsum * x.to(tl.float32), axis=0), mask=mask_d)
    tl.store(partial + TAPS * width, tl.sum(dsum, axis=0), mask=mask_d)

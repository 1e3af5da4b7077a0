"""Triton kernels of the causal depthwise convolution over ragged rows, with SiLU.

A program owns a tile of rows and channels, and finds the bounds of its rows' sequences by
bisection: once where one sequence holds the whole tile. One kernel serves either direction and
both at once, when it reads x once; an absent direction has None for its tensors. The backward pass
recomputes the sums before SiLU and keeps their gradients in the dtype of x; a second kernel
convolves these against their directions. Sums over rows go through one partial a tile and are
added in a fixed order.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcmamba.kernels._triton import sigmoid

BLOCK_T, BLOCK_D = 32, 64


class _Side(NamedTuple):
    """One direction: taps, bias and, going back, the gradient of its output."""

    weight: Tensor | None = None
    bias: Tensor | None = None
    grad: Tensor | None = None


def causal_conv1d_fwd(
    x: Tensor, weight: Tensor, bias: Tensor | None, offsets: Tensor, silu: bool, reverse: bool
) -> Tensor:
    """Return y (T, D) in the dtype of x."""
    ahead, back = _sides(_Side(weight, bias), reverse)
    y, other = _forward(x, ahead, back, offsets, silu)
    y = other if reverse else y
    assert y is not None
    return y


def causal_conv1d_bwd(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx (T, D) like x, dweight (D, W) and dbias (D,) in float32."""
    dx, sums = _backward(x, *_sides(_Side(weight, bias, grad_y), reverse), offsets, silu)
    return dx, *_split(sums[0])


def causal_conv1d_pair_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """Return both directions' y (T, D) in the dtype of x."""
    sides = _Side(weight, bias), _Side(back_weight, back_bias)
    y, back_y = _forward(x, *sides, offsets, silu)
    assert y is not None
    assert back_y is not None
    return y, back_y


def causal_conv1d_pair_bwd(
    grad_y: Tensor,
    back_grad_y: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return dx (T, D) like x, and dweight (D, W), dbias (D,) of both directions in float32."""
    sides = _Side(weight, bias, grad_y), _Side(back_weight, back_bias, back_grad_y)
    dx, sums = _backward(x, *sides, offsets, silu)
    return dx, *_split(sums[0]), *_split(sums[1])


def _split(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums (W + 1, D) as those of the taps (D, W) and of the bias (D,), each its own."""
    return sums[:-1].t().clone(memory_format=torch.contiguous_format), sums[-1].clone()


def _sides(side: _Side, reverse: bool) -> tuple[_Side, _Side]:
    return (_Side(), side) if reverse else (side, _Side())


def _forward(
    x: Tensor, ahead: _Side, back: _Side, offsets: Tensor, silu: bool
) -> tuple[Tensor | None, Tensor | None]:
    y, back_y = (_like(x) if side.weight is not None else None for side in (ahead, back))
    if x.numel():
        _conv_fwd_kernel[_grid(x)](
            x, *_taps(ahead), *_taps(back), offsets, y, back_y, *x.shape, len(offsets) - 1,
            x.stride(0), SILU=silu, **_options(ahead, back, offsets),
        )  # fmt: skip
    return y, back_y


def _backward(
    x: Tensor, ahead: _Side, back: _Side, offsets: Tensor, silu: bool
) -> tuple[Tensor, Tensor]:
    """Return dx, and for each direction given the sums (W + 1, D) for its taps and bias."""
    options = _options(ahead, back, offsets)
    given = [side.weight is not None for side in (ahead, back)]
    dsum, back_dsum = (_like(x) if here else None for here in given)
    shape = sum(given), triton.cdiv(len(x), BLOCK_T), int(options["TAPS"]) + 1, x.shape[1]
    parts = torch.empty(shape, dtype=torch.float32, device=x.device)
    dx = _like(x)
    if x.numel():
        _sum_bwd_kernel[_grid(x)](
            x, *_taps(ahead), *_taps(back), ahead.grad, back.grad, offsets, dsum, back_dsum,
            parts[0], parts[-1], *x.shape, len(offsets) - 1, x.stride(0), _stride(ahead.grad),
            _stride(back.grad), SILU=silu, **options,
        )  # fmt: skip
        _conv_bwd_kernel[_grid(x)](
            dsum, _taps(ahead)[0], back_dsum, _taps(back)[0], offsets, dx, *x.shape,
            len(offsets) - 1, **options,
        )  # fmt: skip
    return dx, parts.sum(1)


def _like(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _taps(side: _Side) -> tuple[Tensor | None, Tensor | None]:
    """Taps with unit stride, and the bias."""
    return None if side.weight is None else side.weight.contiguous(), side.bias


def _stride(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)


def _grid(x: Tensor) -> tuple[int, int]:
    return triton.cdiv(len(x), BLOCK_T), triton.cdiv(x.shape[1], BLOCK_D)


def _options(ahead: _Side, back: _Side, offsets: Tensor) -> dict[str, int]:
    taps = [side.weight.shape[1] for side in (ahead, back) if side.weight is not None]
    return {
        "TAPS": max(taps),
        "HALVINGS": (len(offsets) - 1).bit_length(),
        "BLOCK_T": BLOCK_T,
        "BLOCK_D": BLOCK_D,
    }


@triton.jit
def _bisect(offsets_ptr, rows, sequences, HALVINGS: tl.constexpr):
    """First and last row, exclusive, of the sequence that holds each row."""
    low = rows * 0
    high = low + sequences
    for _ in tl.static_range(HALVINGS):
        middle = (low + high) // 2
        right = tl.load(offsets_ptr + middle) <= rows
        low = tl.where(right, middle, low)
        high = tl.where(right, high, middle)
    return tl.load(offsets_ptr + low), tl.load(offsets_ptr + low + 1)


@triton.jit
def _bounds(
    offsets_ptr, first, rows, num_rows, sequences, HALVINGS: tl.constexpr, BLOCK_T: tl.constexpr
):
    begin, end = _bisect(offsets_ptr, first, sequences, HALVINGS)
    begins, ends = rows * 0 + begin, rows * 0 + end
    if end < tl.minimum(first + BLOCK_T, num_rows):
        begins, ends = _bisect(offsets_ptr, tl.minimum(rows, num_rows - 1), sequences, HALVINGS)
    return begins, ends


@triton.jit
def _load_tile(ptr, rows, mask_t, stride, offs_d, mask_d):
    mask = mask_t[:, None] & mask_d[None, :]
    tile = tl.load(ptr + rows[:, None] * stride + offs_d[None, :], mask=mask, other=0.0)
    return tile.to(tl.float32)


@triton.jit
def _load_tap(weight_ptr, offs_d, mask_d, tap, TAPS: tl.constexpr):
    return tl.load(weight_ptr + offs_d * TAPS + tap, mask=mask_d, other=0.0).to(tl.float32)


@triton.jit
def _sum_taps(
    x_ptr, weight_ptr, bias_ptr, rows, begin, end, stride_x, offs_d, mask_d,
    SIGN: tl.constexpr, TAPS: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Bias and taps over rows in steps of SIGN, inside the sequence."""
    total = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
    if bias_ptr is not None:
        total += tl.load(bias_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)[None, :]
    for away in tl.static_range(TAPS):
        source = rows + SIGN * away
        x = _load_tile(x_ptr, source, (source >= begin) & (source < end), stride_x, offs_d, mask_d)
        total += x * _load_tap(weight_ptr, offs_d, mask_d, TAPS - 1 - away, TAPS)[None, :]
    return total


@triton.jit
def _conv_fwd_kernel(
    x_ptr, weight_ptr, bias_ptr, back_weight_ptr, back_bias_ptr, offsets_ptr, y_ptr, back_y_ptr,
    num_rows, width, sequences, stride_x,
    SILU: tl.constexpr, TAPS: tl.constexpr, HALVINGS: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * BLOCK_T
    rows = first + tl.arange(0, BLOCK_T)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < width
    mask = (rows < num_rows)[:, None] & mask_d[None, :]
    begin, end = _bounds(offsets_ptr, first, rows, num_rows, sequences, HALVINGS, BLOCK_T)
    places = rows[:, None] * width + offs_d[None, :]
    if y_ptr is not None:
        y = _sum_taps(
            x_ptr, weight_ptr, bias_ptr, rows, begin, end, stride_x, offs_d, mask_d,
            -1, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
        if SILU:
            y *= sigmoid(y)
        tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
    if back_y_ptr is not None:
        y = _sum_taps(
            x_ptr, back_weight_ptr, back_bias_ptr, rows, begin, end, stride_x, offs_d, mask_d,
            1, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
        if SILU:
            y *= sigmoid(y)
        tl.store(back_y_ptr + places, y.to(back_y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _sum_gradient(
    x_ptr, weight_ptr, bias_ptr, grad_ptr, dsum_ptr, part_ptr, rows, num_rows, begin, end, width,
    stride_x, stride_grad, offs_d, mask_d,
    SIGN: tl.constexpr, SILU: tl.constexpr, TAPS: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Store one direction's gradient of the sum before SiLU, and its part for taps and bias."""
    mask_t = rows < num_rows
    dsum = _load_tile(grad_ptr, rows, mask_t, stride_grad, offs_d, mask_d)
    if SILU:
        total = _sum_taps(
            x_ptr, weight_ptr, bias_ptr, rows, begin, end, stride_x, offs_d, mask_d,
            SIGN, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
        s = sigmoid(total)
        dsum *= s * (1.0 + total * (1.0 - s))
    for away in tl.static_range(TAPS):
        source = rows + SIGN * away
        x = _load_tile(x_ptr, source, (source >= begin) & (source < end), stride_x, offs_d, mask_d)
        tl.store(
            part_ptr + (TAPS - 1 - away) * width + offs_d, tl.sum(dsum * x, axis=0), mask=mask_d
        )
    tl.store(part_ptr + TAPS * width + offs_d, tl.sum(dsum, axis=0), mask=mask_d)
    places = rows[:, None] * width + offs_d[None, :]
    mask = mask_t[:, None] & mask_d[None, :]
    tl.store(dsum_ptr + places, dsum.to(dsum_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _sum_bwd_kernel(
    x_ptr, weight_ptr, bias_ptr, back_weight_ptr, back_bias_ptr, grad_ptr, back_grad_ptr,
    offsets_ptr, dsum_ptr, back_dsum_ptr, parts_ptr, back_parts_ptr,
    num_rows, width, sequences, stride_x, stride_grad, stride_back_grad,
    SILU: tl.constexpr, TAPS: tl.constexpr, HALVINGS: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0).to(tl.int64)
    first = block * BLOCK_T
    rows = first + tl.arange(0, BLOCK_T)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < width
    begin, end = _bounds(offsets_ptr, first, rows, num_rows, sequences, HALVINGS, BLOCK_T)
    part = block * (TAPS + 1) * width
    if grad_ptr is not None:
        _sum_gradient(
            x_ptr, weight_ptr, bias_ptr, grad_ptr, dsum_ptr, parts_ptr + part, rows, num_rows,
            begin, end, width, stride_x, stride_grad, offs_d, mask_d,
            -1, SILU, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
    if back_grad_ptr is not None:
        _sum_gradient(
            x_ptr, back_weight_ptr, back_bias_ptr, back_grad_ptr, back_dsum_ptr,
            back_parts_ptr + part, rows, num_rows, begin, end, width, stride_x, stride_back_grad,
            offs_d, mask_d, 1, SILU, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip


@triton.jit
def _conv_bwd_kernel(
    dsum_ptr, weight_ptr, back_dsum_ptr, back_weight_ptr, offsets_ptr, dx_ptr,
    num_rows, width, sequences,
    TAPS: tl.constexpr, HALVINGS: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * BLOCK_T
    rows = first + tl.arange(0, BLOCK_T)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < width
    begin, end = _bounds(offsets_ptr, first, rows, num_rows, sequences, HALVINGS, BLOCK_T)
    dx = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
    if dsum_ptr is not None:
        dx += _sum_taps(
            dsum_ptr, weight_ptr, None, rows, begin, end, width, offs_d, mask_d,
            1, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
    if back_dsum_ptr is not None:
        dx += _sum_taps(
            back_dsum_ptr, back_weight_ptr, None, rows, begin, end, width, offs_d, mask_d,
            -1, TAPS, BLOCK_T, BLOCK_D,
        )  # fmt: skip
    mask = (rows < num_rows)[:, None] & mask_d[None, :]
    places = dx_ptr + rows[:, None] * width + offs_d[None, :]
    tl.store(places, dx.to(dx_ptr.dtype.element_ty), mask=mask)

"""CPU loops of the causal depthwise convolution; 16 channels of one sequence are a task.

Both directions at once share the pass over the rows; the backward pass runs once for each and adds
to the same gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from pcmamba.kernels._common import Array, limit_threads
from pcmamba.kernels._lanes import LANES, fma, load, sigmoid, splat, store
from pcmamba.kernels._rows_cpu import (
    add_parts,
    add_to,
    channel_major,
    clear,
    flat_rows,
    pad_channels,
    state_major,
)

CHUNK = 32  # steps summed before they are added to the gradient of a tap


class Conv(NamedTuple):
    """Arguments as the loops read them, flat float32, D padded to a multiple of 16."""

    x: Array
    x_stride: int
    weight: Array  # (W * D), tap-major
    bias: Array  # (D)
    offsets: Array
    channels: int
    taps: int
    silu: bool
    reverse: bool


def causal_conv1d_fwd(
    x: Tensor, weight: Tensor, bias: Tensor | None, offsets: Tensor, silu: bool, reverse: bool
) -> Tensor:
    """Return (T, D) in the dtype of `x`."""
    conv = _prepare(x, weight, bias, offsets, silu, reverse)
    y = x.new_empty(len(x), conv.channels, dtype=torch.float32)
    limit_threads()
    _forward(conv, y.view(-1).numpy())
    return y[:, : x.shape[1]].contiguous().to(x.dtype)


def causal_conv1d_bwd(
    grad_y: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return float32 gradients of x, weight and bias."""
    conv = _prepare(x, weight, bias, offsets, silu, reverse)
    dx = x.new_zeros(len(x), conv.channels, dtype=torch.float32)
    shared = dx.new_zeros(len(offsets) - 1, conv.taps + 1, conv.channels)
    limit_threads()
    grad, stride = flat_rows(grad_y, conv.channels)
    _backward(conv, grad, stride, dx.view(-1).numpy(), shared.view(-1).numpy())
    over, channels = add_parts(shared), x.shape[1]
    dweight, dbias = channel_major(over[:-1], channels), over[-1, :channels].clone()
    return dx[:, :channels].contiguous(), dweight, dbias


def causal_conv1d_pair_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    back_weight: Tensor,
    back_bias: Tensor | None,
    offsets: Tensor,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """Return both directions' y (T, D) in the dtype of `x`."""
    ahead = _prepare(x, weight, bias, offsets, silu, False)
    back = _prepare(x, back_weight, back_bias, offsets, silu, True)
    both = x.new_empty(2, len(x), ahead.channels, dtype=torch.float32)
    limit_threads()
    _forward_pair(ahead, back, both[0].view(-1).numpy(), both[1].view(-1).numpy())
    y, back_y = (t[:, : x.shape[1]].to(x.dtype, copy=True).contiguous() for t in both)
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
    """Return float32 gradients of x, and of weight and bias of both directions."""
    ahead = _prepare(x, weight, bias, offsets, silu, False)
    back = _prepare(x, back_weight, back_bias, offsets, silu, True)
    channels = x.shape[1]
    dx = x.new_zeros(len(x), ahead.channels, dtype=torch.float32)
    shared = dx.new_zeros(2, len(offsets) - 1, ahead.taps + 1, ahead.channels)
    grads = (flat_rows(grad, ahead.channels) for grad in (grad_y, back_grad_y))
    limit_threads()
    for conv, grad, part in zip((ahead, back), grads, shared, strict=True):
        _backward(conv, *grad, dx.view(-1).numpy(), part.view(-1).numpy())
    taps, constants = [], []
    for part in shared:
        over = add_parts(part)
        taps.append(channel_major(over[:-1], channels))
        constants.append(over[-1, :channels].clone())
    return dx[:, :channels].contiguous(), taps[0], constants[0], taps[1], constants[1]


def _prepare(
    x: Tensor, weight: Tensor, bias: Tensor | None, offsets: Tensor, silu: bool, reverse: bool
) -> Conv:
    channels = pad_channels(x.shape[1])
    constant = x.new_zeros(x.shape[1]) if bias is None else bias
    return Conv(
        *flat_rows(x, channels),
        state_major(weight, channels).flatten().numpy(),
        flat_rows(constant[None], channels)[0],
        offsets.contiguous().numpy(),
        channels,
        weight.shape[1],
        silu,
        reverse,
    )


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(conv: Conv, y: Array) -> None:
    sequences = len(conv.offsets) - 1
    for task in prange(sequences * (conv.channels // LANES)):
        sequence, channel = task % sequences, task // sequences * LANES
        for row in range(conv.offsets[sequence], conv.offsets[sequence + 1]):
            value = _convolve(conv, sequence, row, channel)
            if conv.silu:
                value = value * sigmoid(value)
            store(y, row * conv.channels + channel, value)


@njit(parallel=True, cache=True, error_model="numpy")
def _forward_pair(ahead: Conv, back: Conv, y: Array, back_y: Array) -> None:
    sequences = len(ahead.offsets) - 1
    for task in prange(sequences * (ahead.channels // LANES)):
        sequence, channel = task % sequences, task // sequences * LANES
        for row in range(ahead.offsets[sequence], ahead.offsets[sequence + 1]):
            value = _convolve(ahead, sequence, row, channel)
            other = _convolve(back, sequence, row, channel)
            if ahead.silu:
                value, other = value * sigmoid(value), other * sigmoid(other)
            store(y, row * ahead.channels + channel, value)
            store(back_y, row * ahead.channels + channel, other)


@njit(error_model="numpy")
def _source(conv: Conv, sequence: int, row: int, tap: int) -> int:
    """Row that a tap reads for the output `row`, or -1 beyond the sequence."""
    away = conv.taps - 1 - tap
    source = row + away if conv.reverse else row - away
    inside = conv.offsets[sequence] <= source < conv.offsets[sequence + 1]
    return source if inside else -1


@njit(error_model="numpy")
def _convolve(conv: Conv, sequence: int, row: int, channel: int) -> Any:
    value = load(conv.bias, channel)
    for tap in range(conv.taps):
        source = _source(conv, sequence, row, tap)
        if source >= 0:
            x = load(conv.x, source * conv.x_stride + channel)
            value = fma(load(conv.weight, tap * conv.channels + channel), x, value)
    return value


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(conv: Conv, grad_y: Array, grad_stride: int, dx: Array, shared: Array) -> None:
    sequences = len(conv.offsets) - 1
    for task in prange(sequences * (conv.channels // LANES)):
        sequence, channel = task % sequences, task // sequences * LANES
        begin, end = conv.offsets[sequence], conv.offsets[sequence + 1]
        part = np.empty((conv.taps + 1) * LANES, np.float32)
        for first in range(begin, end, CHUNK):
            clear(part)
            for row in range(first, min(first + CHUNK, end)):
                grad = load(grad_y, row * grad_stride + channel)
                if conv.silu:
                    grad = grad * _silu_slope(_convolve(conv, sequence, row, channel))
                _spread(conv, sequence, row, channel, grad, part, dx)
            for tap in range(conv.taps + 1):
                place = (sequence * (conv.taps + 1) + tap) * conv.channels + channel
                add_to(shared, place, load(part, tap * LANES))


@njit(error_model="numpy")
def _silu_slope(value: Any) -> Any:
    s = sigmoid(value)
    return fma(value * s, splat(np.float32(1)) - s, s)


@njit(error_model="numpy")
def _spread(
    conv: Conv, sequence: int, row: int, channel: int, grad: Any, part: Array, dx: Array
) -> None:
    """Add one output's gradient to those of the rows and taps that it read."""
    for tap in range(conv.taps):
        source = _source(conv, sequence, row, tap)
        if source >= 0:
            weight = load(conv.weight, tap * conv.channels + channel)
            add_to(dx, source * conv.channels + channel, grad * weight)
            add_to(part, tap * LANES, grad * load(conv.x, source * conv.x_stride + channel))
    add_to(part, conv.taps * LANES, grad)

"""Triton kernels of the ops on events: a lane an event, integers added or compared in memory.

Integer sums and maxima are the same in any order, so atomics repeat bit for bit here.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton has no types for the pointers and blocks that its kernels take.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_E = 512
BLOCK_P = 1024  # cells a program of a second pass owns
NARROW = 20  # bits of a share where both sums of a cell lie in one word
WIDE = 32  # bits of a share where each has a word of its own
FIELD = tl.constexpr(42)  # bits of the sum of shares: NARROW + 21, and the sign
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
    shape = (_recordings(offsets), bins, 2, height, width)
    counts = torch.zeros(shape, dtype=torch.int32, device=t.device)
    if counts.numel() and len(t):
        _count_kernel[_events_grid(t)](
            *_events(x, y, t, p), offsets, counts,
            len(t), shape[0], _steps(offsets), bins, height, width,
            BY_TIME=split == "time", BLOCK_E=BLOCK_E,
        )  # fmt: skip
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
    channels = 1 if signed else 2
    shape = (_recordings(offsets), bins, channels, height, width)
    sums = torch.zeros(shape, dtype=torch.int64, device=t.device)
    grid = torch.empty(shape, dtype=torch.float32, device=t.device)
    if grid.numel() == 0:
        return grid
    narrow = len(t) < MOST_NARROW
    bits = NARROW if narrow else WIDE
    if len(t):
        _share_kernel[_events_grid(t)](
            *_events(x, y, t, p), offsets, sums,
            len(t), shape[0], _steps(offsets), bins, height, width,
            SIGNED=signed, NARROW=narrow, BITS=bits, BLOCK_E=BLOCK_E, enable_fp_fusion=False,
        )  # fmt: skip
    _grid_kernel[(triton.cdiv(grid.numel(), BLOCK_P),)](
        sums, grid, grid.numel(), bins, channels * height * width,
        NARROW=narrow, BITS=bits, BLOCK_P=BLOCK_P,
    )  # fmt: skip
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
    shape = (_recordings(offsets), bins, 2, height, width)
    last = torch.zeros(shape, dtype=torch.int64, device=t.device)
    surface = torch.zeros(shape, dtype=torch.float32, device=t.device)
    if surface.numel() == 0 or len(t) == 0:
        return surface
    events = _events(x, y, t, p)
    at = None if at is None else at.contiguous()
    by_time = split == "time"
    _latest_kernel[_events_grid(t)](
        *events, offsets, at, last, len(t), shape[0], _steps(offsets), bins, height, width,
        BY_TIME=by_time, BLOCK_E=BLOCK_E,
    )  # fmt: skip
    pixels = 2 * height * width
    _surface_kernel[(shape[0], triton.cdiv(pixels, BLOCK_P))](
        events[2], offsets, at, last, surface, len(t), bins, pixels, 1.0 / tau,
        BY_TIME=by_time, LINEAR=decay == "linear", BLOCK_P=BLOCK_P,
    )  # fmt: skip
    return surface


def _recordings(offsets: Tensor | None) -> int:
    return 1 if offsets is None else len(offsets) - 1


def _steps(offsets: Tensor | None) -> int:
    """Halvings that find one of B recordings."""
    return (_recordings(offsets) - 1).bit_length() if _recordings(offsets) else 0


def _events_grid(t: Tensor) -> tuple[int]:
    return (triton.cdiv(len(t), BLOCK_E),)


def _events(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> tuple[Tensor, ...]:
    p = p.view(torch.uint8) if p.dtype == torch.bool else p
    return x.contiguous(), y.contiguous(), t.contiguous(), p.contiguous()


@triton.jit
def _recording(offs_e, offsets_ptr, E, B, steps):
    """Recording of each event, its first event and their number."""
    low = tl.zeros_like(offs_e)
    first = tl.zeros_like(offs_e)
    stop = tl.zeros_like(offs_e) + E
    if offsets_ptr is not None:
        high = low + B
        for _ in range(0, steps):
            middle = (low + high) // 2
            above = tl.load(offsets_ptr + middle) <= offs_e
            low = tl.where(above, middle, low)
            high = tl.where(above, high, middle)
        first = tl.load(offsets_ptr + low)
        stop = tl.load(offsets_ptr + low + 1)
    return low, first, stop - first


@triton.jit
def _pixel(x_ptr, y_ptr, offs_e, mask, H, W):
    """Index of each event's pixel, and whether it lies on the sensor."""
    x = tl.load(x_ptr + offs_e, mask=mask, other=0).to(tl.int64)
    y = tl.load(y_ptr + offs_e, mask=mask, other=0).to(tl.int64)
    return y * W + x, mask & (x >= 0) & (x < W) & (y >= 0) & (y < H)


@triton.jit
def _positive(p_ptr, offs_e, mask):
    return (tl.load(p_ptr + offs_e, mask=mask, other=0) > 0).to(tl.int64)


@triton.jit
def _frame(offs_e, t, t_ptr, first, length, T, mask, BY_TIME: tl.constexpr):
    length = tl.where(mask, length, 1)
    if BY_TIME:
        begin = tl.load(t_ptr + first, mask=mask, other=0).to(tl.int64)
        end = tl.load(t_ptr + first + length - 1, mask=mask, other=0).to(tl.int64)
        span = tl.maximum(end - begin + 1, 1)
        frame = tl.minimum((t - begin) * T // span, T - 1)
    else:
        frame = (offs_e - first) * T // length
    return frame


@triton.jit
def _count_kernel(
    x_ptr, y_ptr, t_ptr, p_ptr, offsets_ptr, count_ptr,
    E, B, steps, T, H, W,
    BY_TIME: tl.constexpr, BLOCK_E: tl.constexpr,
):  # fmt: skip
    offs_e = tl.program_id(0).to(tl.int64) * BLOCK_E + tl.arange(0, BLOCK_E)
    mask = offs_e < E
    row, first, length = _recording(offs_e, offsets_ptr, E, B, steps)
    pixel, mask = _pixel(x_ptr, y_ptr, offs_e, mask, H, W)
    t = offs_e
    if BY_TIME:
        t = tl.load(t_ptr + offs_e, mask=mask, other=0).to(tl.int64)
    frame = _frame(offs_e, t, t_ptr, first, length, T, mask, BY_TIME)
    mask = mask & (frame >= 0) & (frame < T)
    plane = (row * T + frame) * 2 + _positive(p_ptr, offs_e, mask)
    one = tl.full((BLOCK_E,), 1, tl.int32)
    tl.atomic_add(count_ptr + plane * H * W + pixel, one, mask=mask, sem="relaxed")


@triton.jit
def _share_kernel(
    x_ptr, y_ptr, t_ptr, p_ptr, offsets_ptr, sum_ptr,
    E, B, steps, T, H, W,
    SIGNED: tl.constexpr, NARROW: tl.constexpr, BITS: tl.constexpr, BLOCK_E: tl.constexpr,
):  # fmt: skip
    offs_e = tl.program_id(0).to(tl.int64) * BLOCK_E + tl.arange(0, BLOCK_E)
    mask = offs_e < E
    row, first, length = _recording(offs_e, offsets_ptr, E, B, steps)
    pixel, mask = _pixel(x_ptr, y_ptr, offs_e, mask, H, W)
    t = tl.load(t_ptr + offs_e, mask=mask, other=0).to(tl.int64)
    begin = tl.load(t_ptr + first, mask=mask, other=0).to(tl.int64)
    end = tl.load(t_ptr + first + length - 1, mask=mask, other=0).to(tl.int64)
    span = tl.maximum(end - begin, 1)
    place = ((t - begin) * (T - 1)).to(tl.float64) / span.to(tl.float64)
    b = place.to(tl.int64)
    mask = mask & (place >= 0) & (b < T)
    share = ((place - b.to(tl.float64)) * (1 << BITS) + 0.5).to(tl.int64)
    positive = _positive(p_ptr, offs_e, mask)
    if SIGNED:
        sign = 2 * positive - 1
        plane = row * T + b
        next_plane = H * W
    else:
        sign = tl.zeros_like(positive) + 1
        plane = (row * T + b) * 2 + positive
        next_plane = 2 * H * W
    cell = sum_ptr + plane * H * W + pixel
    if NARROW:
        # Number of events above, sum of the shares of the next instant below, in one word.
        word = sign * ((tl.full((BLOCK_E,), 1, tl.int64) << FIELD) + share)
        tl.atomic_add(cell, word, mask=mask, sem="relaxed")
    else:
        rest = (tl.full((BLOCK_E,), 1, tl.int64) << BITS) - share
        tl.atomic_add(cell, sign * rest, mask=mask, sem="relaxed")
        tl.atomic_add(cell + next_plane, sign * share, mask=mask & (b + 1 < T), sem="relaxed")


@triton.jit
def _shares(word):
    """Lower part of a word of two sums, with its sign."""
    return (word << (64 - FIELD)) >> (64 - FIELD)


@triton.jit
def _grid_kernel(
    sum_ptr, grid_ptr, cells, T, plane,
    NARROW: tl.constexpr, BITS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    offs = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    mask = offs < cells
    total = tl.load(sum_ptr + offs, mask=mask, other=0)
    if NARROW:
        later = (offs // plane) % T > 0
        before = tl.load(sum_ptr + offs - plane, mask=mask & later, other=0)
        own = _shares(total)
        total = (((total - own) >> FIELD) << BITS) - own + _shares(before)
    value = total.to(tl.float64) * (1.0 / (1 << BITS))
    tl.store(grid_ptr + offs, value.to(tl.float32), mask=mask)


@triton.jit
def _latest_kernel(
    x_ptr, y_ptr, t_ptr, p_ptr, offsets_ptr, at_ptr, last_ptr,
    E, B, steps, T, H, W,
    BY_TIME: tl.constexpr, BLOCK_E: tl.constexpr,
):  # fmt: skip
    offs_e = tl.program_id(0).to(tl.int64) * BLOCK_E + tl.arange(0, BLOCK_E)
    mask = offs_e < E
    row, first, length = _recording(offs_e, offsets_ptr, E, B, steps)
    pixel, mask = _pixel(x_ptr, y_ptr, offs_e, mask, H, W)
    t = tl.load(t_ptr + offs_e, mask=mask, other=0).to(tl.int64)
    begin = tl.load(t_ptr + first, mask=mask, other=0).to(tl.int64)
    if at_ptr is None:
        frame = _frame(offs_e, t, t_ptr, first, length, T, mask, BY_TIME)
    else:
        frame = tl.zeros_like(offs_e)
        for f in range(0, T):
            frame += (tl.load(at_ptr + row * T + f, mask=mask, other=0) < t).to(tl.int64)
    mask = mask & (frame >= 0) & (frame < T)
    plane = (row * T + frame) * 2 + _positive(p_ptr, offs_e, mask)
    tl.atomic_max(last_ptr + plane * H * W + pixel, t - begin + 1, mask=mask, sem="relaxed")


@triton.jit
def _surface_kernel(
    t_ptr, offsets_ptr, at_ptr, last_ptr, surface_ptr,
    E, T, pixels, rate,
    BY_TIME: tl.constexpr, LINEAR: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    offs_p = tl.program_id(1) * BLOCK_P + tl.arange(0, BLOCK_P)
    mask = offs_p < pixels
    first = row * 0
    length = first + E
    if offsets_ptr is not None:
        first = tl.load(offsets_ptr + row)
        length = tl.load(offsets_ptr + row + 1) - first
    some = length > 0
    begin = tl.load(t_ptr + first, mask=some, other=0).to(tl.int64)
    end = tl.load(t_ptr + first + length - 1, mask=some, other=0).to(tl.int64)
    latest = tl.zeros((BLOCK_P,), tl.int64)
    for f in range(0, T):
        cell = (row * T + f) * pixels + offs_p
        latest = tl.maximum(latest, tl.load(last_ptr + cell, mask=mask, other=0))
        if at_ptr is not None:
            now = tl.load(at_ptr + row * T + f)
        elif BY_TIME:
            now = begin + ((f + 1) * (end - begin + 1) + T - 1) // T - 1
        else:
            place = first + ((f + 1) * length + T - 1) // T - 1
            now = tl.load(t_ptr + place, mask=some, other=0).to(tl.int64)
        age = (now - begin + 1 - latest).to(tl.float32) * rate
        value = tl.maximum(1.0 - age, 0.0) if LINEAR else tl.exp(-age)
        tl.store(surface_ptr + cell, tl.where(latest > 0, value, 0.0), mask=mask)

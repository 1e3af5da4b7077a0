"""Drawn frames at the size a network wants: counts, drawing and bilinear resize in one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets
from pcmamba.ops._events import check_choice, check_events, check_pixels, inside
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._register import register
from pcmamba.ops.draw_events import Background, draw_events
from pcmamba.ops.resize_bilinear import bilinear_taps, resize_bilinear


def draw_frames(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    *,
    resolution_hw: tuple[int, int],
    size_hw: tuple[int, int] | None = None,
    background: Background = "white",
    impl: Impl = "auto",
) -> Tensor:
    """Draw each run of events as `draw_events` would its counts, and resize the pictures.

    The CPU loop keeps one frame's marks, a byte a pixel, and writes nothing else but the result.
    All implementations give the same bits. Not differentiable. Pixels are checked on the CPU only;
    on a GPU events outside the sensor are left out.

    Args:
        x: (E,) integer columns, 0 to W - 1.
        y: (E,) integer rows, 0 to H - 1.
        p: (E,) polarities, positive where above 0: {0, 1}, {-1, 1} or bool.
        offsets: (F + 1,) int64 bounds of the frames, from 0 to E.
        resolution_hw: H and W of the sensor, pixels.
        size_hw: h and w of the pictures; by default the sensor's.
        background: "white", or "black": one minus that picture.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back; on
            GPUs it names the kernel that counts.

    Returns:
        (F, 3, h, w) float32, 0 to 1.

    Raises:
        TypeError: `x` or `y` is not integer, or `offsets` are not int64.
        ValueError: Shapes disagree, a side is below 1 or above 2**15, `background` is unknown, or
            (CPU) an event is outside the sensor or `offsets` do not rise from 0 to E.
    """
    check_events(x, y, x, p, offsets, 1, resolution_hw)
    check_choice("background", background, Background)
    size_hw = resolution_hw if size_hw is None else size_hw
    if len(size_hw) != 2 or not 0 < min(size_hw) <= max(*size_hw, *resolution_hw) <= 1 << 15:
        raise ValueError(f"size_hw must be two sides of 1 to 32768, got {size_hw}")
    available = ("cpu", "triton", "nvrtc")
    chosen = resolve_impl(impl, x, available, differentiable=False, prefer_nvrtc=True)
    return draw_frames_fwd(x, y, p, offsets, *resolution_hw, *size_hw, background, chosen)


def draw_frames_reference(
    x: Tensor, y: Tensor, p: Tensor, offsets: Tensor, height: int, width: int
) -> Tensor:
    """Mark (F, 2, H, W) uint8 the polarities of each pixel, in torch alone."""
    frame = torch.searchsorted(offsets, torch.arange(len(x), device=x.device), right=True) - 1
    marks = torch.zeros(len(offsets) - 1, 2, height, width, dtype=torch.uint8, device=x.device)
    kept = inside(x, y, height, width)
    marks[tuple(part[kept].long() for part in (frame, p > 0, y, x))] = 1
    return marks


def _forward(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    background: str,
    impl: str,
) -> Tensor:
    """Check the values and draw into (F, 3, h, w) float32."""
    check_offsets(offsets, len(x))
    check_pixels(x, y, height, width)
    if impl == "cpu":
        from pcmamba.kernels import draw_frames_cpu

        taps = (*bilinear_taps(height, new_height), *bilinear_taps(width, new_width))
        drawn: Tensor = draw_frames_cpu.draw_frames_fwd(
            x, y, p, offsets, height, width, taps, background == "white"
        )
        return drawn
    if impl == "reference":
        marks = draw_frames_reference(x, y, p, offsets, height, width)
    else:
        # Frames are recordings of one bin: their times, for which x stands in, do not count.
        count = _counter(impl).event_histogram_fwd
        marks = count(x, y, x, p, offsets, 1, height, width, "count")[:, 0]
    return resize_bilinear(draw_events(marks, background), (new_height, new_width))  # type: ignore[arg-type]


def _fake(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    background: str,
    impl: str,
) -> Tensor:
    return x.new_empty(len(offsets) - 1, 3, new_height, new_width, dtype=torch.float32)


draw_frames_fwd = register("draw_frames_fwd", _forward, _fake)


def _counter(impl: str) -> Any:
    if impl == "nvrtc":
        from pcmamba.kernels import events_nvrtc

        return events_nvrtc
    from pcmamba.kernels import events_triton

    return events_triton

"""How recent the last event of each pixel is.

S[f, p, y, x] = exp(-(t_f - last) / tau)  or  max(0, 1 - (t_f - last) / tau),  0 before any event

with `last` the time of the pixel's last event in the frames 0 to f, and t_f the end of frame f.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from pcmamba.ops._events import (
    Recordings,
    Split,
    check_choice,
    check_event_values,
    check_events,
    inside,
    leading,
    resolve_events_impl,
)
from pcmamba.ops._impl import Impl
from pcmamba.ops._register import register

Decay = Literal["exp", "linear"]


def time_surface(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    *,
    resolution_hw: tuple[int, int],
    bins: int | None = None,
    split: Split = "count",
    at: Tensor | None = None,
    tau: float = 50_000.0,
    decay: Decay = "exp",
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Draw the age of each pixel's last event, a surface for the end of each frame.

    The memory is carried over frames. The latest time is found among integers, the same in any
    order. Not differentiable. A recording's result is the same in any batch. Values are checked on
    the CPU only; on a GPU events outside the sensor are left out.

    Args:
        x: (E,) integer columns, 0 to W - 1.
        y: (E,) integer rows, 0 to H - 1.
        t: (E,) integer times, microseconds, not falling within a recording.
        p: (E,) polarities, positive where above 0: {0, 1}, {-1, 1} or bool.
        resolution_hw: H and W of the sensor, pixels.
        bins: T, frames of a recording; by default 1, whose end is the last event.
        split: Frame of event j of N: "count", floor(j T / N), which ends with its last event, or
            "time", floor((t_j - t_0) T / (t_{N-1} - t_0 + 1)), which ends with its last
            microsecond.
        at: (T,) int64 rising times, or (B, T) with offsets, instead of `bins` and `split`: the
            surface of t_f then counts the events up to and at t_f.
        tau: Microseconds.
        decay: "exp" or "linear".
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (T, 2, H, W) float32, with offsets (B, T, 2, H, W); polarity 0 is negative, 1 positive. An
        empty recording gives zeros.

    Raises:
        TypeError: `x`, `y` or `t` is not integer, or `offsets` or `at` are not int64.
        ValueError: Shapes disagree, `bins` or a side is below 1 or comes with `at`, `tau` is not
            positive and finite, `split` or `decay` is unknown, or (CPU) an event is outside the
            sensor or earlier than the one before it, or `at` falls.

    Source: Lagorce et al., HOTS (TPAMI 2017), section 3.2.
    """
    _check_times(at, bins, offsets)
    bins = (1 if bins is None else bins) if at is None else at.shape[-1]
    check_events(x, y, t, p, offsets, bins, resolution_hw)
    check_choice("split", split, Split)
    check_choice("decay", decay, Decay)
    if not 0 < tau < math.inf:
        raise ValueError(f"tau must be positive and finite, got {tau}")
    chosen = resolve_events_impl(impl, t)
    times = None if at is None else at.view(-1, bins)
    surface = time_surface_fwd(
        x, y, t, p, offsets, times, bins, *resolution_hw, split, tau, decay, chosen
    )
    return surface[0] if offsets is None else surface


def _check_times(at: Tensor | None, bins: int | None, offsets: Tensor | None) -> None:
    if at is None:
        return
    if bins is not None:
        raise ValueError(f"bins must be left out where times are given with at, got {bins}")
    if at.dtype != torch.int64:
        raise TypeError(f"at must be int64, got {at.dtype}")
    leading_axes = () if offsets is None else (len(offsets) - 1,)
    if at.shape[:-1] != leading_axes or at.dim() == 0:
        wanted = "(T,)" if offsets is None else f"({len(offsets) - 1}, T)"
        raise ValueError(f"at must be {wanted}, got {tuple(at.shape)}")


def time_surface_reference(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    at: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: Split,
    tau: float,
    decay: Decay,
) -> Tensor:
    """Compute the surfaces (B, T, 2, H, W) in float64, frame by frame, in torch alone."""
    events = Recordings.of(t, offsets)
    if at is None:
        frame, ends = events.frame(t, bins, split), frame_ends(t, offsets, bins, split)
    else:
        frame, ends = (at[events.row] < t[:, None]).sum(1), at
    kept = inside(x, y, height, width)
    pixel = (p > 0).long() * height * width + y.long() * width + x.long()
    pixel = (pixel + events.row * 2 * height * width)[kept]
    frame, time = frame[kept], t.long()[kept]
    never = torch.iinfo(torch.int64).min
    last = torch.full((events.count * 2 * height * width,), never, device=t.device)
    surfaces = []
    for f in range(bins):
        now = frame == f
        last = last.scatter_reduce(0, pixel[now], time[now], "amax")
        age = (ends[:, f, None] - last.view(events.count, 2 * height * width)).double() / tau
        value = torch.exp(-age) if decay == "exp" else (1.0 - age).clamp(min=0.0)
        surfaces.append(value.masked_fill(last.view_as(value) == never, 0.0))
    return torch.stack(surfaces, 1).view(events.count, bins, 2, height, width)


def frame_ends(t: Tensor, offsets: Tensor | None, bins: int, split: Split) -> Tensor:
    """Return the last time (B, T) int64 of each frame; 0 for a recording without events."""
    if offsets is None:
        offsets = torch.tensor([0, len(t)], device=t.device)
    first, length = offsets[:-1, None], offsets.diff()[:, None]
    frames = torch.arange(1, bins + 1, device=t.device)
    padded = torch.cat([t.long(), t.new_zeros(1, dtype=torch.int64)])
    if split == "count":
        last = first + (frames * length + bins - 1) // bins - 1
        return torch.where(length > 0, padded[last.clamp(min=0)], 0)
    begin, end = padded[first], padded[(first + length - 1).clamp(min=0)]
    ends = begin + (frames * (end - begin + 1) + bins - 1) // bins - 1
    return torch.where(length > 0, ends, 0)


def _forward(
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
    impl: str,
) -> Tensor:
    """Check the values and draw (B, T, 2, H, W) float32."""
    check_event_values(x, y, t, offsets, height, width)
    if at is not None and at.device.type == "cpu" and bool((at.diff() < 0).any()):
        raise ValueError("at must not fall, got an earlier time after a later one")
    surface: Tensor = _launcher(impl)(
        x, y, t, p, offsets, at, bins, height, width, split, tau, decay
    )
    return surface.float()


def _fake(
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
    impl: str,
) -> Tensor:
    return x.new_empty(leading(offsets), bins, 2, height, width, dtype=torch.float32)


time_surface_fwd = register("time_surface_fwd", _forward, _fake)


def _launcher(impl: str) -> Any:
    if impl == "reference":
        return time_surface_reference
    if impl == "cpu":
        from pcmamba.kernels import events_cpu

        return events_cpu.time_surface_fwd
    if impl == "nvrtc":
        from pcmamba.kernels import events_nvrtc

        return events_nvrtc.time_surface_fwd
    from pcmamba.kernels import events_triton

    return events_triton.time_surface_fwd

"""Number of events of each frame, polarity and pixel."""

from __future__ import annotations

from typing import Any

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


def event_histogram(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    *,
    bins: int,
    resolution_hw: tuple[int, int],
    offsets: Tensor | None = None,
    split: Split = "count",
    impl: Impl = "auto",
) -> Tensor:
    """Count the events of each frame, polarity and pixel.

    Counts are integers, so neither the order of the sums nor the device changes them. Not
    differentiable. A recording's result is the same in any batch. Values are checked on the CPU
    only; on a GPU events outside the sensor are left out.

    Frames of other bounds, such as adaptive ones, are recordings of their own: give their bounds
    as `offsets` and `bins=1`.

    Args:
        x: (E,) integer columns, 0 to W - 1.
        y: (E,) integer rows, 0 to H - 1.
        t: (E,) integer times, microseconds, not falling within a recording.
        p: (E,) polarities, positive where above 0: {0, 1}, {-1, 1} or bool.
        bins: T, frames of a recording.
        resolution_hw: H and W of the sensor, pixels.
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.
        split: Frame of event j of N: "count", floor(j T / N), or "time",
            floor((t_j - t_0) T / (t_{N-1} - t_0 + 1)).
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (T, 2, H, W) int32, with offsets (B, T, 2, H, W); polarity 0 is negative, 1 positive.

    Raises:
        TypeError: `x`, `y` or `t` is not integer, or `offsets` are not int64.
        ValueError: Shapes disagree, `bins` or a side is below 1, there are 2**31 events or more,
            `split` is unknown, or (CPU) an event is outside the sensor or earlier than the one
            before it.
    """
    check_events(x, y, t, p, offsets, bins, resolution_hw)
    check_choice("split", split, Split)
    if len(x) >= 1 << 31:
        raise ValueError(f"x must hold fewer than 2**31 events, got {len(x)}; count them in parts")
    chosen = resolve_events_impl(impl, t)
    counts = event_histogram_fwd(x, y, t, p, offsets, bins, *resolution_hw, split, chosen)
    return counts[0] if offsets is None else counts


def event_histogram_reference(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: Split,
) -> Tensor:
    """Compute `event_histogram` as an indexed sum (B, T, 2, H, W) int32, in torch alone."""
    events = Recordings.of(t, offsets)
    frame = events.frame(t, bins, split)
    counts = torch.zeros(events.count, bins, 2, height, width, dtype=torch.int32, device=t.device)
    kept = inside(x, y, height, width)
    index = tuple(part[kept].long() for part in (events.row, frame, p > 0, y, x))
    one = torch.ones((), dtype=torch.int32, device=t.device)
    return counts.index_put_(index, one, accumulate=True)


def _forward(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
    impl: str,
) -> Tensor:
    """Check the values and count into (B, T, 2, H, W) int32."""
    check_event_values(x, y, t, offsets, height, width)
    counts: Tensor = _launcher(impl)(x, y, t, p, offsets, bins, height, width, split)
    return counts


def _fake(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    split: str,
    impl: str,
) -> Tensor:
    return x.new_empty(leading(offsets), bins, 2, height, width, dtype=torch.int32)


event_histogram_fwd = register("event_histogram_fwd", _forward, _fake)


def _launcher(impl: str) -> Any:
    if impl == "reference":
        return event_histogram_reference
    if impl == "cpu":
        from pcmamba.kernels import events_cpu

        return events_cpu.event_histogram_fwd
    if impl == "nvrtc":
        from pcmamba.kernels import events_nvrtc

        return events_nvrtc.event_histogram_fwd
    from pcmamba.kernels import events_triton

    return events_triton.event_histogram_fwd

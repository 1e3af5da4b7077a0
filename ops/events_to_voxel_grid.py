"""Events spread over the two nearest of some instants, linearly in time.

t*_j = (T - 1) (t_j - t_0) / (t_{N-1} - t_0),  0 where all times are equal
V[b, y, x] = sum over the events of pixel (y, x) of q_j max(0, 1 - |b - t*_j|),  q_j = +1 or -1
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pcmamba.ops._events import (
    Recordings,
    check_choice,
    check_event_values,
    check_events,
    inside,
    leading,
    resolve_events_impl,
)
from pcmamba.ops._impl import Impl
from pcmamba.ops._register import register

Polarity = Literal["signed", "split"]


def events_to_voxel_grid(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    *,
    bins: int,
    resolution_hw: tuple[int, int],
    offsets: Tensor | None = None,
    polarity: Polarity = "signed",
    normalize: bool = False,
    impl: Impl = "auto",
) -> Tensor:
    """Share each event between the two nearest of `bins` instants, from its first to its last.

    The kernels round an event's share to 2**-20 (2**-32 from 2**21 events on) and add integers of
    64 bits, which cannot overflow below 2**31 events: neither the order of the sums nor the device
    changes a bit. Not differentiable. A recording's result is the same in any batch. Values are
    checked on the CPU only; on a GPU events outside the sensor are left out.

    Args:
        x: (E,) integer columns, 0 to W - 1.
        y: (E,) integer rows, 0 to H - 1.
        t: (E,) integer times, microseconds, not falling within a recording.
        p: (E,) polarities, positive where above 0: {0, 1}, {-1, 1} or bool.
        bins: T, instants at equal distances from a recording's first event to its last.
        resolution_hw: H and W of the sensor, pixels.
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.
        polarity: "signed" subtracts negative events; "split" adds them in a channel of their own.
        normalize: Bring the cells of a recording that are not 0 to mean 0 and deviation 1, and
            leave the others at 0.
        impl: "reference", "cpu", "triton", "nvrtc" or "auto". A named choice never falls back.

    Returns:
        (T, H, W) float32, or (T, 2, H, W) with a channel a polarity (0 negative, 1 positive); with
        offsets a leading axis B.

    Raises:
        TypeError: `x`, `y` or `t` is not integer, or `offsets` are not int64.
        ValueError: Shapes disagree, `bins` or a side is below 1, there are 2**31 events or more,
            `polarity` is unknown, or (CPU) an event is outside the sensor or earlier than the one
            before it.

    Source: Zhu et al., Unsupervised event-based learning (CVPR 2019), section 3.1.
    """
    check_events(x, y, t, p, offsets, bins, resolution_hw)
    check_choice("polarity", polarity, Polarity)
    if len(x) >= 1 << 31:
        raise ValueError(f"x must hold fewer than 2**31 events, got {len(x)}; add parts up")
    chosen = resolve_events_impl(impl, t)
    signed = polarity == "signed"
    grid = events_to_voxel_grid_fwd(x, y, t, p, offsets, bins, *resolution_hw, signed, chosen)
    grid = _normalize(grid) if normalize else grid
    grid = grid.squeeze(2) if signed else grid
    return grid[0] if offsets is None else grid


def _normalize(grid: Tensor) -> Tensor:
    cells = grid.flatten(1)
    used = cells != 0
    count = used.sum(1, keepdim=True).clamp(min=1)
    centred = torch.where(used, cells - cells.sum(1, keepdim=True) / count, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
    return torch.where(deviation > 0, centred / deviation, 0.0).view_as(grid)


def events_to_voxel_grid_reference(
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
    """Compute the grid (B, T, 1 or 2, H, W) in float64, instant by instant, in torch alone."""
    events = Recordings.of(t, offsets)
    span = (events.end - events.begin).double()
    place = (bins - 1) * (t.long() - events.begin).double() / span.where(span > 0, 1.0)
    positive = (p > 0).long()
    sign = (2 * positive - 1 if signed else torch.ones_like(positive)).double()
    channel = torch.zeros_like(positive) if signed else positive
    kept = inside(x, y, height, width)
    index = tuple(part[kept].long() for part in (events.row, channel, y, x))
    channels = 1 if signed else 2
    grid = place.new_zeros(events.count, bins, channels, height, width)
    for b in range(bins):
        share = sign * (1.0 - (place - b).abs()).clamp(min=0.0)
        grid[:, b] = torch.zeros_like(grid[:, b]).index_put_(index, share[kept], accumulate=True)
    return grid


def _forward(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    signed: bool,
    impl: str,
) -> Tensor:
    """Check the values and add into (B, T, 1 or 2, H, W) float32."""
    check_event_values(x, y, t, offsets, height, width)
    grid: Tensor = _launcher(impl)(x, y, t, p, offsets, bins, height, width, signed)
    return grid.float()


def _fake(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    height: int,
    width: int,
    signed: bool,
    impl: str,
) -> Tensor:
    shape = (leading(offsets), bins, 1 if signed else 2, height, width)
    return x.new_empty(shape, dtype=torch.float32)


events_to_voxel_grid_fwd = register("events_to_voxel_grid_fwd", _forward, _fake)


def _launcher(impl: str) -> Any:
    if impl == "reference":
        return events_to_voxel_grid_reference
    if impl == "cpu":
        from pcmamba.kernels import events_cpu

        return events_cpu.events_to_voxel_grid_fwd
    if impl == "nvrtc":
        from pcmamba.kernels import events_nvrtc

        return events_nvrtc.events_to_voxel_grid_fwd
    from pcmamba.kernels import events_triton

    return events_triton.events_to_voxel_grid_fwd

"""Background-activity filter: real motion makes neighbouring pixels fire soon after one another."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._events import Recordings, check_event_values, check_events
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._register import register

# The four neighbours at a side come before those at a corner.
_STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def denoise_events(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    window: int,
    resolution_hw: tuple[int, int],
    neighbours: int = 8,
    offsets: Tensor | None = None,
    impl: Impl = "auto",
) -> Tensor:
    """Tell which events follow an event of a neighbouring pixel within `window`.

    The event before may be noise itself and have any polarity; one of the same pixel does not
    count. Of simultaneous events the earlier in the arrays is the one before. A recording's result
    is the same in any batch. Values are checked on the CPU only.

    Args:
        x: (E,) integer columns, 0 to W - 1.
        y: (E,) integer rows, 0 to H - 1.
        t: (E,) integer times, microseconds, not falling within a recording.
        window: Microseconds; an event exactly `window` before counts.
        resolution_hw: H and W of the sensor, pixels.
        neighbours: 4 pixels at the sides, or 8 with those at the corners.
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.
        impl: "reference", which "auto" takes on GPUs, "cpu" or "auto". A named choice never falls
            back.

    Returns:
        (E,) bool, True for events to be kept.

    Raises:
        TypeError: `x`, `y` or `t` is not integer, or `offsets` are not int64.
        ValueError: Shapes disagree, a side is below 1, `window` is negative, `neighbours` is not 4
            or 8, or (CPU) an event is outside the sensor or earlier than the one before it.

    Source: Delbruck, Frame-free dynamic digital vision (2008), the background activity filter.
    """
    check_events(x, y, t, x, offsets, 1, resolution_hw)
    if window < 0:
        raise ValueError(f"window must be at least 0, got {window}")
    if neighbours not in (4, 8):
        raise ValueError(f"neighbours must be 4 or 8, got {neighbours}")
    chosen = resolve_impl(impl, t, ("cpu",), differentiable=False)
    bounds = torch.tensor([0, len(t)], device=t.device) if offsets is None else offsets
    return denoise_events_fwd(x, y, t, bounds, *resolution_hw, window, neighbours, chosen)


def denoise_events_reference(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    window: int,
    neighbours: int,
) -> Tensor:
    """Look each neighbour's event before up in a sorted table of (pixel, event), in torch alone."""
    kept = torch.zeros(len(t), dtype=torch.bool, device=t.device)
    if len(t) == 0:
        return kept
    size, event = len(t), torch.arange(len(t), device=t.device)
    row = Recordings.of(t, offsets).row
    # A border of pixels that never fire.
    stride = width + 2
    pixel = (row * (height + 2) + y.long() + 1) * stride + x.long() + 1
    table = (pixel * size + event).sort().values
    for down, right in _STEPS[:neighbours]:
        beside = pixel + down * stride + right
        place = torch.searchsorted(table, beside * size + event) - 1
        before = table[place.clamp(min=0)]
        same = (place >= 0) & (before // size == beside)
        kept |= same & (t.long() - t.long()[before % size] <= window)
    return kept


def _forward(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    window: int,
    neighbours: int,
    impl: str,
) -> Tensor:
    """Check the values and filter: (E,) bool."""
    check_event_values(x, y, t, offsets, height, width)
    run = denoise_events_reference
    if impl == "cpu":
        from pcmamba.kernels import denoise_events_cpu

        run = denoise_events_cpu.denoise_events_fwd
    return run(x, y, t, offsets, height, width, window, neighbours)


def _fake(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    offsets: Tensor,
    height: int,
    width: int,
    window: int,
    neighbours: int,
    impl: str,
) -> Tensor:
    return x.new_empty(len(t), dtype=torch.bool)


denoise_events_fwd = register("denoise_events_fwd", _forward, _fake)

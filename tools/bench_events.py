"""Inputs, calls and floors of the cases on event streams."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from bench_inputs import Draw, builder, op
from bench_problem import Case, Inputs, Problem, Work
from torch import Tensor

EVENT_BYTES = 2 + 2 + 8 + 1  # x, y, t, p
LETTERS = dict.fromkeys("xytp", "E")


def stream(case: Case, events: int, height: int, width: int) -> Inputs:
    """One recording of a second: uniform over the sensor, in order of time."""
    draw = Draw(case, torch.float32)
    return {
        "x": draw.integers(width, events).short(),
        "y": draw.integers(height, events).short(),
        "t": draw.integers(1_000_000, events).sort().values,
        "p": draw.integers(2, events).bool(),
    }


@builder
def events_to_voxel_grid(case: Case, dtype: torch.dtype) -> Problem:
    """Signed polarity, the bilinear share of two instants."""
    function = op("events_to_voxel_grid")
    events, bins, height, width = case.sizes

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, bins=bins, resolution_hw=(height, width), impl=impl),)

    def eager(values: Inputs) -> Sequence[Tensor]:
        x, y, t, p = (values[name].long() for name in "xytp")
        since = t - t[0]
        place = (bins - 1) * since.float() / since[-1].float()
        before = place.floor().clamp(max=bins - 2)
        share, sign = place - before, 2.0 * p - 1
        cell = (before.long() * height + y) * width + x
        grid = sign.new_zeros(bins * height * width)
        grid.index_put_((cell,), sign * (1 - share), accumulate=True)
        grid.index_put_((cell + height * width,), sign * share, accumulate=True)
        return (grid.view(bins, height, width),)

    size = events * EVENT_BYTES + 4 * bins * height * width
    inputs = stream(case, events, height, width)
    work = (Work(bytes=size),)
    return Problem(inputs, call, LETTERS, ("THW",), work=work, eager=eager)


@builder
def event_histogram(case: Case, dtype: torch.dtype) -> Problem:
    """Counts of both polarities, frames of equally many events."""
    function = op("event_histogram")
    events, bins, height, width = case.sizes

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, bins=bins, resolution_hw=(height, width), impl=impl),)

    size = events * EVENT_BYTES + 8 * bins * height * width
    inputs = stream(case, events, height, width)
    return Problem(inputs, call, LETTERS, ("T2HW",), work=(Work(bytes=size),))


@builder
def draw_frames(case: Case, dtype: torch.dtype) -> Problem:
    """Frames of equally many events, drawn and resized."""
    function = op("draw_frames")
    events, frames, height, width, new_height, new_width = case.sizes
    size_hw = (new_height, new_width)

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, resolution_hw=(height, width), size_hw=size_hw, impl=impl),)

    def eager(values: Inputs) -> Sequence[Tensor]:
        x, y, p, offsets = (values[name].long() for name in ("x", "y", "p", "offsets"))
        frame = torch.repeat_interleave(offsets.diff(), output_size=events)
        counts = torch.zeros(frames, 2, height, width, device=x.device)
        counts.index_put_((frame, p, y, x), torch.ones_like(counts[0, 0, 0, 0]), accumulate=True)
        negative, positive = (counts > 0).unbind(1)
        drawn = 1.0 - torch.stack([negative, negative | positive, positive], 1).float()
        return (torch.nn.functional.interpolate(drawn, size=size_hw, mode="bilinear"),)

    inputs = stream(case, events, height, width)
    del inputs["t"]
    inputs["offsets"] = torch.arange(frames + 1, device=inputs["x"].device) * events // frames
    work = (Work(bytes=events * (EVENT_BYTES - 8) + 12 * frames * new_height * new_width),)
    letters = {"x": "E", "y": "E", "p": "E", "offsets": "B"}
    return Problem(inputs, call, letters, ("F3HW",), work=work, eager=eager)


@builder
def time_surface(case: Case, dtype: torch.dtype) -> Problem:
    """One surface at the end of the recording."""
    function = op("time_surface")
    events, height, width = case.sizes

    def call(values: Inputs, impl: str) -> Sequence[Tensor]:
        return (function(**values, resolution_hw=(height, width), impl=impl),)

    size = events * EVENT_BYTES + 8 * height * width
    inputs = stream(case, events, height, width)
    return Problem(inputs, call, LETTERS, ("T2HW",), work=(Work(bytes=size),))

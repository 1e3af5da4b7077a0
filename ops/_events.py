"""What the ops on events share: checks, and which recording and frame an event belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets, check_shapes
from pcmamba.ops._impl import resolve_impl
from pcmamba.ops._sequences import check_index
from pcmamba.registry import unknown_name

Split = Literal["count", "time"]

INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16}


def check_events(
    x: Tensor,
    y: Tensor,
    t: Tensor,
    p: Tensor,
    offsets: Tensor | None,
    bins: int,
    resolution_hw: tuple[int, int],
) -> None:
    """Check what can be checked without reading events.

    Raises:
        TypeError: A coordinate or a time is no integer, or `offsets` are not int64.
        ValueError: Shapes disagree, or `bins` or a side is below 1.
    """
    if not (x.dim() == 1 and x.shape == y.shape == t.shape == p.shape):
        check_shapes(x=(x, "E"), y=(y, "E"), t=(t, "E"), p=(p, "E"))
    for name, tensor in (("x", x), ("y", y), ("t", t)):
        if tensor.dtype not in INTEGERS:
            raise TypeError(f"{name} must be an integer of up to 64 bits, got {tensor.dtype}")
    if p.is_complex():
        raise TypeError(f"p must be real, got {p.dtype}")
    check_index(offsets=offsets)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if len(resolution_hw) != 2 or min(resolution_hw) < 1:
        raise ValueError(f"resolution_hw must be two positive sides, got {resolution_hw}")


def check_choice(name: str, value: str, choices: Any) -> None:
    """Check that `value` is one of the names in the Literal `choices`.

    Raises:
        ValueError: It is not.
    """
    if value not in get_args(choices):
        raise ValueError(unknown_name(name, value, get_args(choices)))


def check_event_values(
    x: Tensor, y: Tensor, t: Tensor, offsets: Tensor | None, height: int, width: int
) -> None:
    """Check pixels, order in time and offsets on the CPU; a GPU would have to wait.

    Raises:
        ValueError: A pixel is outside the sensor, a time is earlier than the one before it in the
            same recording, or `offsets` do not rise from 0 to E.
    """
    if offsets is not None:
        check_offsets(offsets, len(x))
    if x.device.type != "cpu" or len(x) == 0:
        return
    check_pixels(x, y, height, width)
    falls = t[1:] < t[:-1]
    if offsets is not None:
        inner = offsets[(offsets > 0) & (offsets < len(t))]
        falls[inner - 1] = False
    if bool(falls.any()):
        event = int(falls.nonzero()[0]) + 1
        raise ValueError(
            f"t must not fall within a recording, got {int(t[event])} after {int(t[event - 1])} "
            f"at event {event}; sort the events by time"
        )


def check_pixels(x: Tensor, y: Tensor, height: int, width: int) -> None:
    """Check on the CPU that events lie on the sensor.

    Raises:
        ValueError: One does not.
    """
    if x.device.type != "cpu" or len(x) == 0:
        return
    for name, values, side in (("x", x, width), ("y", y, height)):
        low, high = (int(bound) for bound in values.aminmax())
        if low < 0 or high >= side:
            raise ValueError(
                f"{name} must be 0 to {side - 1}, got {low if low < 0 else high}; "
                "give the sensor's resolution_hw or drop such events"
            )


@dataclass(frozen=True)
class Recordings:
    """Where each event (E,) stands in its recording; all int64.

    Attributes:
        count: Number of recordings.
        row: Recording of the event.
        place: Index of the event in its recording.
        length: Number of events in that recording.
        begin: Time of its first event.
        end: Time of its last event.
    """

    count: int
    row: Tensor
    place: Tensor
    length: Tensor
    begin: Tensor
    end: Tensor

    @classmethod
    def of(cls, t: Tensor, offsets: Tensor | None) -> Recordings:
        """Describe events at the times `t` (E,), all of one recording without `offsets`."""
        t = t.long()
        if offsets is None:
            offsets = torch.tensor([0, len(t)], device=t.device)
        events = torch.arange(len(t), device=t.device)
        row = torch.searchsorted(offsets, events, right=True) - 1
        first, stop = offsets[row], offsets[row + 1]
        return cls(len(offsets) - 1, row, events - first, stop - first, t[first], t[stop - 1])

    def frame(self, t: Tensor, bins: int, split: Split) -> Tensor:
        """Return the frame (E,) of each event: equal counts of events, or equal spans of time."""
        if split == "count":
            return self.place * bins // self.length
        frame = (t.long() - self.begin) * bins // (self.end - self.begin + 1)
        return frame.clamp(max=bins - 1)


def inside(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Tell which events lie on the sensor; the others are left out on a GPU."""
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def leading(offsets: Tensor | None) -> int:
    """Return the number of recordings."""
    return 1 if offsets is None else len(offsets) - 1


def resolve_events_impl(impl: str, t: Tensor) -> str:
    """Choose the implementation: on a GPU the one whose launches cost less, where installed."""
    available = ("cpu", "triton", "nvrtc")
    return resolve_impl(impl, t, available, differentiable=False, prefer_nvrtc=True)

"""Cutting recordings into frames: of equal numbers of events, or of equal spans of time."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets, check_shapes
from pcmamba.ops._events import INTEGERS, Recordings, Split, check_choice
from pcmamba.ops._sequences import check_index


def slice_events(
    t: Tensor, num_frames: int, *, by: Split = "count", offsets: Tensor | None = None
) -> Tensor:
    """Return the frame of each event, 0 to T - 1.

    The rule is the one of `event_histogram`. A recording's result is the same in any batch.

    Args:
        t: (E,) integer times, microseconds, not falling within a recording.
        num_frames: T.
        by: Frame of event j of N: "count", floor(j T / N), or "time",
            floor((t_j - t_0) T / (t_{N-1} - t_0 + 1)).
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.

    Returns:
        (E,) int64.

    Raises:
        TypeError: `t` is not integer, or `offsets` are not int64.
        ValueError: `t` has not one axis, `num_frames` is below 1, `by` is unknown, or (CPU)
            `offsets` do not rise from 0 to E.
    """
    _check(t, num_frames, by, offsets)
    return Recordings.of(t, offsets).frame(t, num_frames, by)


def frame_bounds(
    t: Tensor, num_frames: int, *, by: Split = "count", offsets: Tensor | None = None
) -> Tensor:
    """Return where the frames of `slice_events` begin and end, without a pass over the events.

    Args:
        t: (E,) integer times, microseconds, not falling within a recording.
        num_frames: T.
        by: As in `slice_events`.
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E; without them all events are
            one recording.

    Returns:
        (B, T + 1) int64, or (T + 1,) without offsets: frame f is the events from bound f up to
        bound f + 1. A recording without events has T empty frames.

    Raises:
        TypeError, ValueError: As `slice_events`.
    """
    _check(t, num_frames, by, offsets)
    ends = torch.tensor([0, len(t)], device=t.device) if offsets is None else offsets
    first, stop = ends[:-1, None], ends[1:, None]
    frames = torch.arange(num_frames + 1, device=t.device)
    if by == "count":
        bounds = first + (frames * (stop - first) + num_frames - 1) // num_frames
    else:
        bounds = _first_at(t, first, stop, frames, num_frames)
    return bounds[0] if offsets is None else bounds


def flat_bounds(bounds: Tensor) -> Tensor:
    """Join the frames of all recordings (B, T + 1) into one ragged batch (B T + 1,)."""
    if bounds.numel() == 0:
        return bounds.new_zeros(1)
    return torch.cat([bounds[:, :-1].flatten(), bounds[-1, -1:]])


def _first_at(t: Tensor, first: Tensor, stop: Tensor, frames: Tensor, num_frames: int) -> Tensor:
    """Bisect for the first event (B, T + 1) at or after the beginning of each frame."""
    if len(t) == 0:
        return first + 0 * frames
    last = len(t) - 1
    begin = t[first.clamp(max=last)].long()
    span = t[(stop - 1).clamp(min=0)].long() - begin + 1
    wanted = begin + (frames * span + num_frames - 1) // num_frames
    low, high = first + 0 * frames, stop + 0 * frames
    for _ in range(len(t).bit_length()):
        middle = (low + high) // 2
        later = (t[middle.clamp(max=last)] < wanted) & (low < high)
        low, high = torch.where(later, middle + 1, low), torch.where(later, high, middle)
    return low


def _check(t: Tensor, num_frames: int, by: str, offsets: Tensor | None) -> None:
    check_shapes(t=(t, "E"))
    if t.dtype not in INTEGERS:
        raise TypeError(f"t must be an integer of up to 64 bits, got {t.dtype}")
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")
    check_choice("by", by, Split)
    check_index(offsets=offsets)
    if offsets is not None:
        check_offsets(offsets, len(t))

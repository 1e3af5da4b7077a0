"""Frames of recordings: by hand, and bounds against the frame of every event."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops.slice_events import flat_bounds, frame_bounds, slice_events
from pcmamba.testing import draw_events

BOUNDS = torch.tensor([0, 0, 60, 60, 61, 150, 150])


def test_by_hand() -> None:
    t = torch.tensor([10, 10, 11, 14, 19])
    assert slice_events(t, 2).tolist() == [0, 0, 0, 1, 1]
    assert frame_bounds(t, 2).tolist() == [0, 3, 5]
    assert slice_events(t, 2, by="time").tolist() == [0, 0, 0, 0, 1]
    assert frame_bounds(t, 2, by="time").tolist() == [0, 4, 5]
    assert frame_bounds(t, 8).tolist() == [0, 1, 2, 2, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("microseconds", [1, 40, 1 << 40])
@pytest.mark.parametrize("by", ["count", "time"])
def test_bounds_hold_the_events_of_each_frame(by: Any, microseconds: int) -> None:
    t = draw_events(150, (4, 5), offsets=BOUNDS, microseconds=microseconds)[2]
    for frames in (1, 3, 7, 200):
        frame = slice_events(t, frames, by=by, offsets=BOUNDS)
        bounds = frame_bounds(t, frames, by=by, offsets=BOUNDS)
        assert bounds.shape == (6, frames + 1)
        assert torch.equal(bounds[:, 0], BOUNDS[:-1])
        assert torch.equal(bounds[:, -1], BOUNDS[1:])
        again = torch.repeat_interleave(torch.arange(frames).repeat(6), bounds.diff().flatten())
        assert torch.equal(frame, again)
        assert torch.equal(flat_bounds(bounds).diff(), bounds.diff().flatten())


@pytest.mark.parametrize("by", ["count", "time"])
def test_a_recording_alone_is_cut_alike(by: Any) -> None:
    t = draw_events(150, (4, 5), offsets=BOUNDS)[2]
    batch = frame_bounds(t, 4, by=by, offsets=BOUNDS)
    for bounds, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        assert torch.equal(bounds - begin, frame_bounds(t[begin:end], 4, by=by))


@pytest.mark.parametrize("by", ["count", "time"])
def test_no_events_and_no_recordings(by: Any) -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert frame_bounds(none, 3, by=by).tolist() == [0, 0, 0, 0]
    assert slice_events(none, 3, by=by).shape == (0,)
    bounds = frame_bounds(none, 3, by=by, offsets=torch.zeros(1, dtype=torch.int64))
    assert bounds.shape == (0, 4)
    assert flat_bounds(bounds).tolist() == [0]


T5 = torch.arange(5)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "axes": ({"t": T5[None]}, ValueError, r"t must be \(E\)"),
    "float": ({"t": T5.float()}, TypeError, "t must be an integer of up to 64 bits"),
    "frames": ({"num_frames": 0}, ValueError, "num_frames must be at least 1, got 0"),
    "by": ({"by": "tim"}, ValueError, "by must be .*Did you mean 'time'"),
    "offsets": ({"offsets": torch.tensor([0, 4])}, ValueError, "offsets must rise from 0 to 5"),
    "int32": ({"offsets": torch.tensor([0, 5]).int()}, TypeError, "offsets must be int64"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    arguments: dict[str, Any] = {"t": T5, "num_frames": 2} | changes
    for cut in (slice_events, frame_bounds):
        with pytest.raises(error, match=message):
            cut(**arguments)


@pytest.mark.gpu
@pytest.mark.parametrize("by", ["count", "time"])
def test_a_gpu_cuts_alike(by: Any) -> None:
    t: Tensor = draw_events(150, (4, 5), offsets=BOUNDS)[2]
    found = frame_bounds(t.cuda(), 4, by=by, offsets=BOUNDS.cuda())
    assert torch.equal(found.cpu(), frame_bounds(t, 4, by=by, offsets=BOUNDS))

"""Ops on events against tonic's transforms, where tonic is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import Tensor

from pcmamba.ops import denoise_events, event_histogram, events_to_voxel_grid
from pcmamba.testing import draw_events

transforms = pytest.importorskip("tonic.transforms", reason="tonic is not installed")

HW = (9, 13)
SENSOR = (13, 9, 2)
COUNT = 1200


def recording(microseconds: int) -> tuple[tuple[Tensor, ...], np.ndarray[Any, Any]]:
    """Events from 0 to `microseconds` - 1, and the same as tonic has them."""
    x, y, t, p = draw_events(COUNT, HW, microseconds=microseconds)
    t -= 1 << 40
    t[0], t[-1] = 0, microseconds - 1
    events = np.empty(COUNT, [("x", int), ("y", int), ("t", int), ("p", int)])
    for name, column in zip("xytp", (x, y, t, p), strict=True):
        events[name] = column.numpy()
    return (x, y, t, p), events


def test_frames_of_equal_counts() -> None:
    ours, theirs = recording(5000)
    wanted = transforms.ToFrame(SENSOR, n_event_bins=8)(theirs)
    counts = event_histogram(*ours, bins=8, resolution_hw=HW)
    assert np.array_equal(counts, wanted)


def test_frames_of_equal_time() -> None:
    ours, theirs = recording(8 * 250)
    wanted = transforms.ToFrame(SENSOR, time_window=250, include_incomplete=True)(theirs)
    counts = event_histogram(*ours, bins=8, resolution_hw=HW, split="time")
    assert np.array_equal(counts, wanted)


def test_voxel_grids() -> None:
    """Tonic's N bins are our N + 1 instants without the last."""
    ours, theirs = recording(5000)
    wanted = transforms.ToVoxelGrid(SENSOR, n_time_bins=6)(theirs)[:, 0]
    grid = events_to_voxel_grid(*ours, bins=7, resolution_hw=HW)
    assert np.abs(grid[:6].numpy() - wanted).max() < 1e-5


def test_background_activity() -> None:
    """Tonic looks at four pixels, and an event exactly its time before does not count."""
    (x, y, t, _), theirs = recording(200_000)
    t += 1000  # before its time is over tonic keeps all
    theirs["t"] += 1000
    wanted = transforms.Denoise(filter_time=1000)(theirs)
    kept = denoise_events(x, y, t, window=999, resolution_hw=HW, neighbours=4)
    assert 0 < int(kept.sum()) < COUNT
    found = theirs[kept.numpy()]
    assert all(np.array_equal(found[name], wanted[name]) for name in "xyt")

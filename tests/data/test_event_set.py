"""Labelled recordings: gathering gives back what was joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events


def recording(seed: int, size: int) -> Events:
    draw = np.random.default_rng(seed)
    x, y, t, p = (
        draw.integers(0, 5, size),
        draw.integers(0, 4, size),
        None,
        draw.integers(0, 2, size),
    )
    t = np.sort(draw.integers(0, 1000, size))
    return Events.from_arrays(x, y, t, p, (4, 5))


def make() -> tuple[list[Events], EventSet]:
    recordings = [recording(0, 7), Events.empty((4, 5)), recording(2, 3)]
    events = EventSet.from_recordings(
        recordings, [1, 0, 1], class_names=("a", "b"), ids=("r0", "r1", "r2"), name="set",
        split="train", groups=("s0", "s0", "s1"),
    )  # fmt: skip
    return recordings, events


def test_recordings_come_back() -> None:
    recordings, events = make()
    for index, one in enumerate(recordings):
        for column in "xytp":
            assert np.array_equal(getattr(events.recording(index), column), getattr(one, column))


def test_a_batch_holds_the_chosen_recordings_in_order() -> None:
    recordings, events = make()
    batch = events.batch(torch.tensor([2, 1, 0]))
    assert batch.offsets.tolist() == [0, 3, 3, 10]
    assert batch.labels.tolist() == [1, 0, 1]
    assert batch.t[:3].tolist() == recordings[2].t.tolist()
    assert batch.x[3:].tolist() == recordings[0].x.tolist()


def test_a_part_is_a_set() -> None:
    _, events = make()
    part = events.take(torch.tensor([2]))
    assert (len(part), part.ids, part.groups) == (1, ("r2",), ("s1",))
    assert part.recording(0).t.tolist() == events.recording(2).t.tolist()


def test_labels_out_of_range_are_refused() -> None:
    recordings, _ = make()
    with pytest.raises(ValueError, match="labels must be in 0 … 0"):
        EventSet.from_recordings(
            recordings, [0, 1, 0], class_names=("a",), ids=("a", "b", "c"), name="s", split="train"
        )

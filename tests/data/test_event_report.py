from __future__ import annotations

import numpy as np
import pytest
import torch

from pcmamba.data.event_report import report_event_splits
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events


def recording(times: list[int], p: int = 1) -> Events:
    size = len(times)
    return Events.from_arrays(np.arange(size), np.zeros(size, int), times, [p] * size, (4, 8))


def made(split: str, ids: tuple[str, ...], **changes) -> EventSet:
    recordings = [recording([5, 10, 1_000_005]), Events.empty((4, 8)), recording([7], 0)]
    return EventSet.from_recordings(
        recordings, [0, 2, 0], class_names=("a", "b", "c"), ids=ids, name="made", split=split,
        groups=("s1", "s1", "s2"), notes=("note",), **changes,
    )  # fmt: skip


def test_both_splits_are_described():
    lines = report_event_splits(made("train", ("1", "2", "3")), made("test", ("4", "5", "6")))
    assert lines[0] == "made: 3 classes: a, b, c"
    assert lines[1:7] == [
        "train: 3 recordings of 0 to 3 events, 0 to 2 per class",
        "train: sensor 8 x 4, 4 events, 75% brighter",
        "train: 0 to 1 s a recording, 4 events/s",
        "train: 2 groups that must not straddle a split",
        "train: note",
        "train: no recordings of b",
    ]


def test_splits_that_disagree_are_refused():
    with pytest.raises(ValueError, match="got 1 in both, first 3"):
        report_event_splits(made("train", ("1", "2", "3")), made("test", ("3", "4", "5")))
    test = made("test", ("4", "5", "6"))
    object.__setattr__(test, "class_names", ("a", "b", "d"))
    with pytest.raises(ValueError, match="class_names must be the same"):
        report_event_splits(made("train", ("1", "2", "3")), test)


def test_classes_in_order_are_told():
    one = made("train", ("1", "2", "3")).take(torch.tensor([0, 2, 1]))
    lines = report_event_splits(one, made("test", ("4", "5", "6")))
    assert any("train: sorted by class" in line for line in lines)

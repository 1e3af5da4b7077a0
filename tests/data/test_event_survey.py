from __future__ import annotations

import numpy as np
import torch

from pcmamba.data.event_set import EventSet
from pcmamba.data.event_survey import gather_notes, survey
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet


def test_notes_that_differ_in_numbers_are_gathered():
    pairs = [("a", "3 events left out"), ("b", "1,024 events left out"), ("b", "sorted")]
    assert gather_notes(pairs) == [
        "a: 3 events left out (and 1 more)",
        "b: sorted",
    ]


def made() -> EventSet:
    first = Events.from_arrays([0, 7, 4], [0, 3, 1], [10, 20, 110], [1, 0, 1], (4, 8))
    recordings = [first, Events.empty((4, 8)), first]
    return EventSet.from_recordings(
        recordings, [0, 1, 1], class_names=("a", "b"), ids=("1", "2", "3"), name="made",
        split="train",
    )  # fmt: skip


def test_what_a_pass_finds():
    found = survey(made())
    assert found.sizes.tolist() == [3, 0, 3] and found.brighter.tolist() == [2, 0, 2]
    assert found.durations_us.tolist() == [100, 0, 100]
    assert found.extents_hw.tolist() == [[4, 8], [0, 0], [4, 8]]
    assert found.keys[0] == found.keys[2] != found.keys[1]
    picture = found.pictures[0] * 3
    assert picture[0, 1, 0, 0] == picture[0, 0, 6, 7] == picture[1, 1, 2, 4] == 1
    assert picture.sum() == 3 and found.pictures[1].sum() == 0
    assert found.failures == ()


def test_a_pass_goes_on_behind_what_cannot_be_read_and_is_kept():
    whole, calls = made(), []

    def read(row: int) -> Events:
        calls.append(row)
        if row == 0:
            raise ValueError("broken")
        return whole.recording(row)

    lazy = LazyEventSet(
        read, torch.arange(3), whole.labels, whole.class_names, whole.ids, "made", "train", (4, 8)
    )
    found = survey(lazy)
    assert found.failures == (("1", "broken"),) and found.sizes.tolist() == [0, 0, 3]
    assert survey(lazy) is found and calls == [0, 1, 2]
    assert np.unique(found.keys).size == 3

"""Each planted fault is found, and a sound set has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcmamba.data.event_faults import find_event_faults
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet

CLASSES = ("right", "up", "left")
HW = (40, 64)


def recording(label: int, rng: np.random.Generator, size: int = 400) -> Events:
    """Draw a dot that moves to one side, its front brighter: axes, polarity and time matter."""
    t = np.sort(rng.integers(0, 100_000, size))
    p = rng.integers(0, 2, size)
    along = t / 100_000 * 0.6 + 0.2 + 0.15 * p
    across = np.full(size, 0.3)
    x, y = ((along, across), (across, 1 - along), (1 - along, across))[label]
    x, y = (v + rng.normal(0, 0.02, size) for v in (x, y))
    columns = (np.clip(v * s, 0, s - 1).astype(int) for v, s in ((x, HW[1]), (y, HW[0])))
    return Events.from_arrays(*columns, t=t, p=p, resolution_hw=HW)


def make(split: str, size: int = 30) -> EventSet:
    seed = 0 if split == "train" else 1
    rng = np.random.default_rng(seed)
    labels = [i % 3 for i in range(size)]
    return EventSet.from_recordings(
        [recording(label, rng) for label in labels], labels, class_names=CLASSES,
        ids=tuple(f"{split}{i}" for i in range(size)), name="made", split=split, resolution_hw=HW,
        groups=tuple(f"person{3 * seed + i % 3}" for i in range(size)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def sound() -> dict[str, EventSet]:
    return {split: make(split) for split in ("train", "test")}


def verdicts(train, test) -> dict[str, tuple[str, str]]:
    found = find_event_faults({"train": train, "test": test}.__getitem__)
    return {f.check: (f.verdict, f.detail) for f in found}


def faults(train, test) -> dict[str, str]:
    return {c: d for c, (verdict, d) in verdicts(train, test).items() if verdict == "FAULT"}


def rebuilt(data: EventSet, change) -> EventSet:
    """Return the set with every recording changed."""
    recordings = [change(i, data.recording(i)) for i in range(len(data))]
    return EventSet.from_recordings(
        recordings, data.labels.tolist(), class_names=data.class_names, ids=data.ids,
        name=data.name, split=data.split, groups=data.groups,
        resolution_hw=recordings[0].resolution_hw,
    )  # fmt: skip


def test_a_sound_set_has_no_fault(sound):
    found = verdicts(**sound)
    assert {verdict for verdict, _ in found.values()} == {"ok"} and len(found) == 13


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (lambda e: replace(e, x=HW[1] - 1 - e.x), "axes, test against train", "columns from the"),
        (lambda e: replace(e, y=HW[0] - 1 - e.y), "axes, test against train", "rows from the"),
        (lambda e: replace(e, t=e.t * 1000), "duration", "median 0.09"),
        (lambda e: replace(e, p=np.ones_like(e.p)), "polarity", "100% in test"),
        (lambda e: replace(e, x=e.x // 2), "sensor", "train uses 63"),
        (
            lambda e: replace(e, x=e.y, y=e.x, resolution_hw=HW[::-1]),
            "sensor",
            "test 34 x 6",
        ),
    ],
    ids=["columns", "rows", "unit", "one polarity", "sensor", "exchanged"],
)
def test_a_reading_that_differs_between_the_splits(sound, change, check, said):
    found = faults(sound["train"], rebuilt(sound["test"], lambda _, events: change(events)))
    assert said in found[check]


def test_polarity_that_differs_between_the_splits(sound):
    def by_polarity(i: int, events: Events) -> Events:
        """Let class 2 be class 0 with its polarity exchanged: bright first or bright last."""
        label = i % 3
        events = recording(0 if label == 2 else label, np.random.default_rng(i))
        bright = (events.t > 50_000) == (label == 2)
        return replace(events, p=bright.astype(np.uint8))

    train, test = (rebuilt(sound[split], by_polarity) for split in ("train", "test"))
    assert "axes, test against train" not in faults(train, test)
    exchanged = rebuilt(test, lambda _, e: replace(e, p=1 - e.p))
    assert "polarity exchanged" in faults(train, exchanged)["axes, test against train"]


def test_wrong_labels(sound):
    shifted = replace(sound["test"], labels=(sound["test"].labels + 1) % 3)
    assert "labels changed by -1" in faults(sound["train"], shifted)["labels, test against train"]
    other = replace(sound["test"], class_names=("a", "b", "c"))
    assert faults(sound["train"], other)["classes"] == "train and test name different classes"
    part = sound["train"].take((sound["train"].labels != 1).nonzero().squeeze(1))
    assert faults(part, sound["test"])["classes"] == "train has no recordings of up"


def test_people_and_recordings_on_both_sides(sound):
    people = replace(sound["test"], groups=("person2", *sound["test"].groups[1:]))
    found = faults(sound["train"], people)
    assert found["people or other groups"] == "1 are in train and test, first person2"
    copied = rebuilt(sound["test"], lambda i, e: sound["train"].recording(0) if i == 4 else e)
    found = faults(sound["train"], copied)["duplicates"]
    assert found == "1 recordings of test are in train too, first test4"
    twice = sound["test"].take(torch.tensor([*range(30), 3]))
    assert verdicts(sound["train"], twice)["duplicates"][0] == "note"


def test_empty_stray_and_unsorted_recordings(sound):
    emptied = rebuilt(sound["test"], lambda i, e: Events.empty(HW) if i == 7 else e)
    assert faults(sound["train"], emptied)["empty recordings"] == "1 have no events, first test7"
    short = rebuilt(sound["train"], lambda i, e: e.between(0, 2000) if i == 2 else e)
    found = verdicts(short, sound["test"])["events of single recordings"]
    assert found == ("note", "train: 1 far from the median, first train2")
    noted = LazyEventSet.from_set(sound["test"])
    read = noted.read
    noted = replace(
        noted, read=lambda i: replace(read(i), notes=("times fell at 3 places and were sorted",))
    )
    found = verdicts(sound["train"], noted)["order of time"]
    assert found[0] == "note" and "times fell at 3 places and were sorted (and 29 more)" in found[1]


def test_files_that_cannot_be_read(sound):
    lazy = LazyEventSet.from_set(sound["test"])
    read = lazy.read

    def broken(row: int) -> Events:
        if row == 5:
            raise ValueError("a.npz: expected events")
        return read(row)

    found = faults(sound["train"], replace(lazy, read=broken))
    assert found["files, numbers, labels"] == (
        "1 recordings cannot be read, first test5 of test: a.npz: expected events"
    )
    assert "empty recordings" not in found

    def load(split: str) -> EventSet:
        raise ValueError("no such thing")

    [finding] = find_event_faults(load)
    assert (finding.verdict, finding.detail) == ("FAULT", "train: no such thing")

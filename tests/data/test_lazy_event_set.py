from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.loader import ResidentLoader


@pytest.fixture
def resident() -> EventSet:
    rng = np.random.default_rng(0)
    recordings = [
        Events.from_arrays(
            rng.integers(0, 8, n), rng.integers(0, 6, n), np.arange(n) * 7, rng.integers(0, 2, n),
            (6, 8),
        )
        for n in (5, 0, 3, 9)
    ]  # fmt: skip
    return EventSet.from_recordings(
        recordings, [0, 1, 1, 0], class_names=("a", "b"), ids=tuple("1234"), name="made",
        split="train", groups=("s", "s", "u", "u"),
    )  # fmt: skip


def assert_same(first, second) -> None:
    for name, value in vars(first).items():
        other = getattr(second, name)
        same = value.equal(other) if isinstance(value, torch.Tensor) else value == other
        assert same, name


@pytest.mark.parametrize("index", [[0], [3, 0, 2], [1], [2, 2, 1]])
def test_batches_are_those_of_the_resident_set(resident, index):
    lazy = LazyEventSet.from_set(resident)
    chosen = torch.tensor(index)
    assert_same(lazy.batch(chosen), resident.batch(chosen))
    assert_same(lazy.take(chosen).resident(), resident.take(chosen))
    assert_same(lazy.take(chosen).take(torch.tensor([0])).resident(), resident.take(chosen[:1]))
    assert len(lazy) == 4 and [len(events) for events in lazy] == [5, 0, 3, 9]


def test_the_loader_takes_it(resident):
    options = {"shuffle": True, "seed": 3}
    for first, second in zip(
        ResidentLoader(LazyEventSet.from_set(resident), 3, **options),
        ResidentLoader(resident, 3, **options),
        strict=True,
    ):
        assert_same(first, second)


def test_files_are_read_when_asked_for_and_not_before(resident):
    asked = []

    def read(row: int) -> Events:
        asked.append(row)
        return resident.recording(row)

    lazy = replace(LazyEventSet.from_set(resident), read=read).to("cpu").to(None)
    lazy.take(torch.tensor([3, 1])).batch(torch.tensor([1]))
    assert asked == [1]


def test_what_does_not_fit_is_refused(resident):
    lazy = LazyEventSet.from_set(resident)
    with pytest.raises(ValueError, match=r"1: the sensor must fit into 7 x 6, got 8 x 6"):
        replace(lazy, resolution_hw=(6, 7)).recording(0)
    with pytest.raises(ValueError, match=r"labels must be in 0 … 0, got 0 to 1"):
        replace(lazy, class_names=("a",))
    with pytest.raises(ValueError, match="must name the 4 recordings"):
        replace(lazy, ids=("1",))
    with pytest.raises(ValueError, match="labels must not be empty, got none for made train"):
        lazy.take(torch.tensor([], dtype=torch.int64))

"""The simulated gestures: the same bits everywhere, fair splits, and no way around time."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.gestures import Gestures
from pcmamba.data.event_set import EventSet
from pcmamba.data.gestures import GESTURES, Sensor
from pcmamba.testing.floor import nearest_labels, time_sums

COLUMNS = ("x", "y", "t", "p")


def _small(**options) -> Gestures:
    return Gestures(**{"train_size": 20, "test_size": 10, "side": 24, **options})


@pytest.fixture(scope="module")
def small() -> EventSet:
    return _small().load("train")


def test_the_registered_set_is_synthetic_and_says_so(small: EventSet) -> None:
    dataset = DATASETS["gestures"](None)
    assert (dataset.domain, small.synthetic, small.resolution_hw) == ("events", True, (24, 24))
    for text in (small.name, *small.notes, dataset.check()[0]):
        assert "synthetic" in text


def test_classes_are_balanced_mixed_and_named(small: EventSet) -> None:
    assert small.class_names == tuple(GESTURES)
    assert small.labels.tolist() == [*range(10), *range(10)]
    assert len(set(small.ids)) == 20


def test_a_recording_alone_is_the_one_of_the_set(small: EventSet) -> None:
    for index in (0, 7, 19):
        alone, kept = _small().recording("train", index), small.recording(index)
        for column in COLUMNS:
            assert np.array_equal(getattr(alone, column), getattr(kept, column))


def test_a_smaller_set_is_the_beginning_of_a_larger_one(small: EventSet) -> None:
    part, first = _small(train_size=5).load("train"), small.take(torch.arange(5))
    for column in (*COLUMNS, "offsets", "labels"):
        assert torch.equal(getattr(part, column), getattr(first, column))


def test_seeds_and_splits_share_no_recording(small: EventSet) -> None:
    for other in (_small(seed=1).load("train"), _small(test_size=20).load("test")):
        assert not any(
            np.array_equal(small.recording(k).t, other.recording(k).t) for k in range(20)
        )


def test_the_bits_are_those_of_every_other_machine(small: EventSet) -> None:
    # Pinned so that a change of the simulator, wanted or not, shows.
    digest = hashlib.sha256()
    for column in COLUMNS:
        digest.update(getattr(small, column).numpy().tobytes())
    assert digest.hexdigest() == (
        "10f3bc62ae8866737001dc6edd995a37deab66623519fbee0b0c539132cb78e4"
    )


def test_a_set_is_kept_in_memory() -> None:
    assert _small().load("train") is _small().load("train")


def test_recordings_have_a_moderate_number_of_events_in_order() -> None:
    gestures = Gestures()
    for index in range(30):
        events = gestures.recording("test", index)
        assert 300 < len(events) < 8000
        assert (np.diff(events.t) >= 0).all()
        assert 600_000 < events.duration < 1_700_000


def test_a_still_performer_is_not_seen_without_noise() -> None:
    silent = Gestures(sensor=Sensor(noise_hz=0.0)).recording("train", 2)
    noisy = Gestures().recording("train", 2)
    # Strokes, the same in both, leave most pixels without an event; noise does not.
    places = [len(set(zip(e.x.tolist(), e.y.tolist(), strict=True))) for e in (silent, noisy)]
    assert places[0] < 48 * 48 / 2
    assert len(silent) < len(noisy)


def test_polarity_does_not_favour_a_direction() -> None:
    """Arms are brighter than the background as often as darker."""
    gestures = Gestures(side=24)
    first = []
    for index in range(4, 1004, 10):  # push_then_circle: at first, only the hand grows
        events = gestures.recording("train", index)
        first.append(events.p[: len(events) // 8].mean() > 0.5)
    assert 35 <= sum(first) <= 65


def test_pictures_without_time_tell_the_pair_at_most() -> None:
    # tools/gestures_floor.py asks the whole set.
    gestures = Gestures(train_size=800, test_size=200)
    train, test = gestures.load("train"), gestures.load("test")
    known, asked = time_sums(train), time_sums(test)
    for name in known:
        for power in (1, 2):
            told = nearest_labels(known[name], train.labels, asked[name], power)
            right, pair = told == test.labels, told // 2 == test.labels // 2
            assert right.float().mean() > 0.2  # the pictures are not empty
            if "centred" not in name:
                assert right.float().mean() <= 0.5
            # Of a pair, either is right half the time: within three standard deviations.
            assert abs(right[pair].float().mean() - 0.5) < 1.5 / int(pair.sum()) ** 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, "train_size must be at least 1, got 0"),
        ({"test_size": 0}, "test_size must be at least 1, got 0"),
        ({"side": 15}, "side must be at least 16, got 15"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_documented_errors(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gestures(**options)


def test_an_unknown_split_is_refused() -> None:
    for call in (lambda: _small().load("val"), lambda: _small().recording("val", 0)):
        with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
            call()


def test_the_fake_is_small_and_loads() -> None:
    fake = Gestures.make_fake(None)
    assert (len(fake.load("train")), len(fake.load("test"))) == (40, 20)

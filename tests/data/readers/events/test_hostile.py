"""Broken recordings are refused with their name, or read into events that are in range."""

from __future__ import annotations

import pytest

from pcmamba.data import read_events
from pcmamba.testing.event_fuzz import sample_recordings
from pcmamba.testing.fuzz import read_mutated

FORMS = [
    ".aedat", ".aedat4", ".bin", ".csv", ".dat", ".h5", ".mat", ".npy", ".npz", ".raw", ".txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return sample_recordings(tmp_path_factory.mktemp("samples"))


def test_the_samples_themselves_are_read(samples):
    assert sorted(samples) == FORMS
    for paths in samples.values():
        for path in paths:
            assert len(read_events(path)) == 120


@pytest.mark.parametrize("form", FORMS)
def test_broken_recordings_are_refused_or_in_range(form, samples):
    outcomes = [read_mutated(p, seed, read_events) for p in samples[form] for seed in range(40)]
    assert "refused" in outcomes

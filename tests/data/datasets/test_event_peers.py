"""The event sets beside tonic's and spikingjelly's readers, where these are installed and right."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.datasets import PAF, Cifar10Dvs, DVS128Gesture, NCaltech101, NMnist
from pcmamba.data.events import Events


def assert_same(events: Events, x, y, t, p) -> None:
    """Compare with columns whose times have any start."""
    t = np.asarray(t, np.int64)
    for name, mine, theirs in (
        ("x", events.x, x), ("y", events.y, y), ("t", events.t, t - t[0]), ("p", events.p, p),
    ):  # fmt: skip
        assert np.array_equal(mine, np.asarray(theirs, np.int64)), name


def first_of(made):
    loaded = made.load("train")
    return loaded.ids[0], loaded.recording(0)


@pytest.mark.parametrize(("kind", "folder"), [(NMnist, ""), (NCaltech101, "Caltech101")])
def test_tonic_reads_the_same_bin(kind, folder, tmp_path):
    io = pytest.importorskip("tonic.io", reason="tonic is not installed")
    name, events = first_of(kind.make_fake(str(tmp_path)))
    theirs = io.read_mnist_file(str(tmp_path / folder / f"{name}.bin"), io.events_struct)
    assert_same(events, theirs["x"], theirs["y"], theirs["t"], theirs["p"])


def test_tonic_reads_the_same_paf(tmp_path):
    io = pytest.importorskip("tonic.io", reason="tonic is not installed")
    name, events = first_of(PAF.make_fake(str(tmp_path)))
    _, _, theirs = io.read_davis_346(str(tmp_path / f"{name}.aedat"))
    assert_same(events, theirs["x"], theirs["y"], theirs["t"], theirs["p"])


def test_spikingjelly_reads_the_same_bin_and_trial(tmp_path):
    utils = pytest.importorskip("spikingjelly.datasets.utils", exc_type=ImportError)
    name, events = first_of(NMnist.make_fake(str(tmp_path)))
    theirs = utils.load_ATIS_bin(tmp_path / f"{name}.bin")
    assert_same(events, *(theirs[column] for column in "xytp"))

    name, events = first_of(DVS128Gesture.make_fake(str(tmp_path)))
    trial = tmp_path / "DvsGesture" / f"{name.partition('/')[0]}.aedat"
    theirs = utils.load_aedat_v3(trial)
    inside = (theirs["t"] >= 0) & (theirs["t"] < 1_000_000)  # the first row of the fake's csv
    assert_same(events, *(theirs[column][inside] for column in "xytp"))


def test_spikingjelly_reads_the_same_cifar10_dvs(tmp_path):
    peer = pytest.importorskip("spikingjelly.datasets.cifar10_dvs", exc_type=ImportError)
    name, events = first_of(Cifar10Dvs.make_fake(str(tmp_path)))
    theirs = peer._load_origin_data(str(tmp_path / f"{name}.aedat"))
    assert_same(events, *(theirs[column] for column in "xytp"))

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.prepare import PreparedSet


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    return PreparedSet("folder", DATASETS["folder"].make_fake(str(tmp_path / "data")))


def test_a_prepared_set_is_the_same_and_mapped(made):
    plain = made.load("train")
    seen = []
    folder = made.prepare(lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)] and made.is_prepared()
    mapped = made.load("train")
    assert mapped.points.equal(plain.points) and mapped.keys.equal(plain.keys)
    assert (mapped.ids, mapped.class_names, mapped.notes) == (
        plain.ids,
        plain.class_names,
        plain.notes,
    )
    mapped.points.zero_()  # memory of this process alone
    assert made.load("train").points.equal(plain.points)
    assert {p.name for p in folder.parent.iterdir()} == {folder.name}
    made.verify()


def test_the_files_are_not_read_again(made, monkeypatch):
    made.prepare()
    monkeypatch.setattr(type(made.dataset), "load", lambda *_: pytest.fail("read again"))
    assert len(made.load("test")) == 3
    made.prepare()


def test_a_changed_file_or_option_makes_it_stale(made, tmp_path):
    first = made.prepare()
    path = tmp_path / "data" / "box" / "box_1.npy"
    os.utime(path, ns=(1, 1))
    assert not made.is_prepared()
    assert made.prepare() == first and made.is_prepared()
    np.save(tmp_path / "data" / "box" / "new.npy", np.ones((4, 3)))
    assert not made.is_prepared()
    other = PreparedSet("folder", type(made.dataset)(made.dataset.root, num_points=3))
    assert other.folder() != first


def test_an_interrupted_preparation_leaves_nothing(made, monkeypatch, tmp_path):
    def stop(self, split):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(made.dataset), "load", stop)
        with pytest.raises(KeyboardInterrupt):
            made.prepare()
    assert list((tmp_path / "cache").iterdir()) == [] and not made.is_prepared()


def test_a_damaged_array_is_found(made):
    path = made.prepare() / "train.points.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"train\.points\.npy must have the checksum"):
        made.verify()


def test_a_set_without_files_needs_no_preparing():
    shapes = PreparedSet("shapes", DATASETS["shapes"](train_size=20, test_size=10, num_points=8))
    assert len(shapes.load("train")) == 20
    with pytest.raises(ValueError, match="root must be given to prepare a set"):
        shapes.prepare()


@pytest.mark.parametrize("name", ["nmnist", "paf", "dvs128_gesture"])
def test_event_sets_are_prepared(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    made = PreparedSet(name, DATASETS[name].make_fake(str(tmp_path / "data")))
    plain = {split: made.load(split) for split in ("train", "test")}
    made.prepare()
    made.verify()
    monkeypatch.setattr(type(made.dataset), "load", lambda *_: pytest.fail("read again"))
    for split, before in plain.items():
        mapped = made.load(split)
        assert type(mapped) is type(before) and mapped.ids == before.ids
        assert (mapped.groups, mapped.resolution_hw) == (before.groups, before.resolution_hw)
        index = torch.arange(len(before)).flip(0)
        first, second = vars(before.batch(index)), vars(mapped.batch(index))
        for key, value in first.items():
            same = value.equal(second[key]) if key != "resolution_hw" else value == second[key]
            assert same, key
        assert set(before.notes) <= set(mapped.notes)

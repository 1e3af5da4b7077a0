from __future__ import annotations

import pytest
import torch

from pcmamba.data import CloudSet
from pcmamba.data.report import cloud_keys, report_splits


def make(split, points, labels, **changed):
    fields = {
        "class_names": ("a", "b"),
        "ids": tuple(f"{split}{i}" for i in range(len(points))),
        "name": "toy",
        "split": split,
        "up_axis": "y",
        "notes": ("a note",),
        **changed,
    }
    return CloudSet(points, torch.tensor(labels), **fields)


def points(seed, size=3):
    return torch.randn(size, 5, 3, generator=torch.Generator().manual_seed(seed))


def test_a_key_ignores_the_order_of_points_but_nothing_else():
    cloud = points(0, size=1)
    changed = cloud.clone()
    changed[0, 0, 0] = changed[0, 0, 0].nextafter(torch.tensor(9.0))
    variants = [cloud, cloud.flip(1), cloud.flip(2), cloud.roll(1, dims=2), changed]
    first, *others = (cloud_keys(variant)[0] for variant in variants)
    assert others[0] == first
    assert len({first, *others[1:]}) == 4


def test_the_report_says_what_there_is():
    test_points = torch.zeros(2, 5, 3)
    test_points[1, 0, 0] = 0.5
    lines = report_splits(make("train", points(0), [1, 0, 1]), make("test", test_points, [0, 0]))
    assert "toy: 2 classes: a, b" in lines
    assert "train: 3 clouds of 5 points, 1 to 2 per class" in lines
    assert "train: y up in the files, z up as loaded" in lines
    assert "train: classes are mixed" in lines
    assert "train: a note" in lines
    assert any(line.startswith("test: sorted by class") for line in lines)
    assert "test: largest distance from zero 0 to 0.5, centres up to 0.1 from zero" in lines
    assert "test: no clouds of b" in lines
    assert "train and test share no cloud" in lines


def test_identical_clouds_are_counted():
    shapes = points(0)
    train = make("train", shapes[[0, 1, 0]], [0, 0, 1])
    lines = report_splits(train, make("test", shapes[[2, 1]].flip(1), [0, 1]))
    assert "train: identical clouds: 1" in lines
    assert "clouds of test that are also in train: 1" in lines


def test_an_id_in_both_splits_is_refused():
    train, test = make("train", points(0), [0, 0, 1]), make("test", points(1), [0, 0, 1])
    shared = make("test", test.points, [0, 0, 1], ids=("x", "train2", "y"))
    with pytest.raises(ValueError, match="got 1 in both, first train2"):
        report_splits(train, shared)


def test_other_classes_are_refused():
    other = make("test", points(1), [0, 0, 1], class_names=("b", "a"))
    with pytest.raises(ValueError, match="class_names must be the same"):
        report_splits(make("train", points(0), [0, 0, 1]), other)

"""Few-shot folds: sizes, classes, the same draw each time, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcmamba.data.datasets import DATASETS, FewShot

SIZES = {"num_points": 64, "train_size": 160, "test_size": 96}
SHAPES = {"base": "shapes", "base_options": SIZES}


def test_a_fold_has_the_classes_and_clouds_asked_for() -> None:
    fold = FewShot(way=4, shot=3, query=5, **SHAPES)
    train, test = fold.load("train"), fold.load("test")
    assert train.labels.tolist() == sorted([0, 1, 2, 3] * 3)
    assert test.labels.bincount().tolist() == [5] * 4
    assert train.class_names == test.class_names
    whole = DATASETS["shapes"](root=None, **SIZES).load("train")
    for i, name in enumerate(train.ids):
        row = whole.ids.index(name)
        assert torch.equal(train.points[i], whole.points[row])
        assert whole.class_names[whole.labels[row]] == train.class_names[train.labels[i]]


def test_a_fold_is_a_function_of_seed_and_number() -> None:
    def drawn(**options) -> tuple[str, ...]:
        return FewShot(way=4, shot=3, query=5, **SHAPES, **options).load("train").ids

    assert drawn(fold=1) == drawn(fold=1)
    assert len({drawn(), drawn(fold=1), drawn(seed=1)}) == 3


def test_the_fake_loads_and_checks(tmp_path: Path) -> None:
    fold = FewShot.make_fake(str(tmp_path))
    assert len(fold.load("train")) == 6
    assert any("train" in line for line in fold.check())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": 99}, "way must be at most the 16 classes of the set, got 99"),
        ({"shot": 9999}, r"shot must be at most the \d+ train clouds of \w+, got 9999"),
        ({"way": 0}, "way must be at least 1, got 0"),
        ({"base": "few_shot"}, "base must be a whole data set"),
    ],
)
def test_impossible_draws_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FewShot(**{**SHAPES, **options}).load("train")


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split must be train or test, got 'val'"):
        FewShot(**SHAPES).load("val")

from __future__ import annotations

import pytest
import torch

from pcmamba.data.check import check_dataset, list_datasets
from pcmamba.data.datasets import DATASETS
from pcmamba.data.lazy_event_set import LazyEventSet


def test_the_sets_are_listed():
    assert {"folder", "modelnet40"} <= set(list_datasets())


@pytest.mark.parametrize("name", list_datasets())
def test_every_set_loads_and_checks_its_fake(name, tmp_path):
    made = DATASETS[name].make_fake(str(tmp_path))
    train, test = made.load("train"), made.load("test")
    assert train.split == "train" and test.split == "test"
    assert train.class_names == test.class_names
    assert len(train) >= len(test) > 0
    first, again = (_columns(loaded) for loaded in (train, made.load("train")))
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    assert all(isinstance(line, str) and "\n" not in line for line in made.check())
    with pytest.raises(ValueError, match="split"):
        made.load("validation")


def _columns(loaded) -> list[torch.Tensor]:
    whole = loaded.resident() if isinstance(loaded, LazyEventSet) else loaded
    return [value for value in vars(whole).values() if isinstance(value, torch.Tensor)]


def test_check_takes_options(tmp_path):
    DATASETS["folder"].make_fake(str(tmp_path))
    lines = check_dataset("folder", str(tmp_path), num_points=7, up_axis="y")
    assert "train: 12 clouds of 7 points, 4 to 4 per class" in lines
    assert "train: y up in the files, z up as loaded" in lines


def test_a_wrong_name_or_option_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"data set must be one of .*Did you mean 'modelnet40'"):
        check_dataset("modelnet", None)
    with pytest.raises(ValueError, match="Did you mean 'num_points'"):
        check_dataset("folder", str(tmp_path), num_point=7)

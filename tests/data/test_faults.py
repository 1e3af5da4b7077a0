"""Every fault that is planted in a good set is found, and the good set has none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pcmamba.data.datasets import Folder
from pcmamba.data.faults import find_faults, table
from pcmamba.data.structures import CloudSet

NAMES = ("table", "rod", "slab", "cone")
SIZES = {
    "table": (1, 0.6, 0.8),
    "rod": (0.1, 0.1, 1),
    "slab": (1, 0.8, 0.05),
    "cone": (0.5, 0.5, 1),
}


def shape(name: str, rng: np.random.Generator) -> np.ndarray:
    points = rng.random((64, 3))
    if name == "table":
        points[:, 2] **= 0.2
    if name == "cone":
        points[:, :2] = 0.5 + (points[:, :2] - 0.5) * points[:, 2:]
        points[:, 2] = 1 - points[:, 2]
    return (points * SIZES[name] * rng.uniform(0.9, 1.1)).astype(np.float32)


def make(split: str) -> CloudSet:
    rng = np.random.default_rng(split == "train")
    labels = np.repeat(np.arange(4), 20)
    return CloudSet(
        points=torch.from_numpy(np.stack([shape(NAMES[k], rng) for k in labels])),
        labels=torch.from_numpy(labels),
        class_names=NAMES,
        ids=tuple(f"{split}{i}" for i in range(len(labels))),
        name="made",
        split=split,
        up_axis="z",
    )


def found(train: CloudSet, test: CloudSet) -> dict[str, str]:
    findings = find_faults({"train": train, "test": test}.__getitem__)
    return {f.check: f.detail for f in findings if f.verdict == "FAULT"}


def test_a_good_set_has_no_fault():
    train, test = make("train"), make("test")
    assert found(train, test) == {}
    lines = table(find_faults({"train": train, "test": test}.__getitem__))
    assert lines[0].split() == ["check", "result", "what", "was", "found"]
    assert any("no shift fits better" in line for line in lines)


def test_swapped_axes():
    train, test = make("train"), make("test")
    turned = dataclasses.replace(test, points=test.points[..., [0, 2, 1]].contiguous())
    assert "with its axes read as xzy" in found(train, turned)["axes, test against train"]


def test_a_class_missing_in_train():
    train, test = make("train"), make("test")
    lacking = train.take((train.labels != 2).nonzero().squeeze(1))
    assert found(lacking, test)["classes"] == "train has no clouds of slab"


def test_labels_off_by_one():
    train, test = make("train"), make("test")
    shifted = dataclasses.replace(test, labels=(test.labels + 1) % 4)
    assert "its labels changed by -1" in found(train, shifted)["labels, test against train"]


def test_clouds_of_train_in_test():
    train, test = make("train"), make("test")
    points = test.points.clone()
    points[7] = train.points[3][torch.randperm(64)]  # in another order of points
    copied = dataclasses.replace(test, points=points)
    assert "1 clouds of test are in train too, first test7" in found(train, copied)["duplicates"]


def test_another_scale():
    train, test = make("train"), make("test")
    assert (
        "median radius"
        in found(train, dataclasses.replace(test, points=test.points * 1000))["scale"]
    )
    points = test.points.clone()
    points[5] *= 1000
    stray = found(train, dataclasses.replace(test, points=points))["scale of single clouds"]
    assert stray == "test: 1 clouds far from the median, first test5"


def test_numbers_that_are_none_and_labels_out_of_range(tmp_path):
    made = Folder.make_fake(str(tmp_path))
    with (tmp_path / "box" / "box_4.xyz").open("a") as file:
        file.write("\nnan 0 0")
    [finding] = find_faults(made.load)
    assert finding.verdict == "FAULT" and "box_4.xyz" in finding.detail
    assert "1 of 25 points with NaN" in finding.detail


def test_a_file_that_lies_in_both_splits_is_found_whatever_points_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("a", "b"):
            (tmp_path / split / kind).mkdir(parents=True)
            np.save(tmp_path / split / kind / f"{split}.npy", rng.random((50, 3)))
    np.save(tmp_path / "test" / "a" / "copy.npy", np.load(tmp_path / "train" / "a" / "train.npy"))
    made = Folder(str(tmp_path), num_points=10)
    assert "first test/a/copy.npy" in found(made.load("train"), made.load("test"))["duplicates"]


def test_missing_files_are_told_as_such():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_faults(Folder("nowhere").load)

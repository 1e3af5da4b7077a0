from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pcmamba.data import CloudSet, PointCloud


def cloud(**changed):
    fields = {"xyz": np.arange(12, dtype=np.float32).reshape(4, 3), **changed}
    return PointCloud(**fields)


def cloud_set(**changed):
    fields = {
        "points": torch.arange(18, dtype=torch.float32).reshape(2, 3, 3),
        "labels": torch.tensor([1, 0]),
        "class_names": ("a", "b"),
        "ids": ("first", "second"),
        "name": "toy",
        "split": "train",
        "up_axis": "z",
        **changed,
    }
    return CloudSet(**fields)


def test_a_cloud_keeps_its_arrays_and_is_frozen():
    xyz = np.zeros((2, 3), np.float32)
    built = PointCloud(xyz)
    assert built.xyz is xyz and len(built) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.xyz = xyz


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"xyz": np.zeros((0, 3), np.float32)}, ValueError, "xyz must have at least one point"),
        ({"xyz": np.zeros((4, 2), np.float32)}, ValueError, r"xyz must have shape \(4, 3\)"),
        ({"xyz": np.zeros((4, 3))}, TypeError, "xyz must be a float32 array, got float64"),
        ({"xyz": [[0.0, 0.0, 0.0]]}, TypeError, "xyz must be a float32 array, got list"),
        ({"xyz": np.full((4, 3), np.inf, np.float32)}, ValueError, "xyz must be finite, got 12"),
        ({"normals": np.zeros((3, 3), np.float32)}, ValueError, "normals must have shape"),
        ({"colors": np.zeros((4, 3), np.float32)}, TypeError, "colors must be a uint8 array"),
        ({"intensity": np.full(4, np.nan, np.float32)}, ValueError, "intensity must be finite"),
        ({"labels": np.zeros((4, 1), np.int64)}, ValueError, "labels must have shape"),
        ({"faces": np.array([[0, 1, 4]])}, ValueError, "faces must index the 4 points, got 0 to 4"),
        ({"faces": np.array([[-1, 1, 2]])}, ValueError, "got -1 to 2"),
        ({"attributes": {"ring": np.zeros(3)}}, ValueError, "'ring' has not"),
        ({"up_axis": "up"}, ValueError, "up_axis must be x, y or z, got 'up'"),
    ],
)
def test_a_wrong_cloud_is_refused(changed, error, message):
    with pytest.raises(error, match=message):
        cloud(**changed)


def test_no_faces_are_allowed():
    assert len(cloud(faces=np.empty((0, 3), np.int64)).faces) == 0


def test_z_up_turns_points_and_normals_and_keeps_the_original():
    xyz = np.array([[1, 2, 3]], np.float32)
    before = cloud(xyz=xyz, normals=np.array([[0, 1, 0]], np.float32), up_axis="y")
    after = before.z_up()
    assert after.xyz.tolist() == [[3, 1, 2]]
    assert after.normals.tolist() == [[0, 0, 1]]
    assert after.up_axis == "z" and xyz.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("axis", [None, "z"])
def test_z_up_leaves_an_unknown_frame_alone(axis):
    built = cloud(up_axis=axis)
    assert built.z_up() is built


def test_a_set_has_a_length():
    assert len(cloud_set()) == 2


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"points": torch.zeros(2, 3, 2)}, ValueError, r"points must have shape \(any, any, 3\)"),
        ({"points": torch.zeros(2, 0, 3)}, ValueError, "points must not be empty"),
        ({"points": torch.zeros(2, 3, 3).double()}, TypeError, "points must be a torch.float32"),
        ({"labels": torch.tensor([0])}, ValueError, r"labels must have shape \(2\)"),
        ({"labels": torch.tensor([0, 1], dtype=torch.int32)}, TypeError, "labels must be a torch"),
        ({"labels": torch.tensor([0, 2])}, ValueError, "labels must be in 0 … 1 for 2 class_names"),
        ({"labels": torch.tensor([-1, 0])}, ValueError, "got -1 to 0"),
        ({"class_names": ("a", "a")}, ValueError, "class_names must differ"),
        ({"ids": ("first",)}, ValueError, "ids must name the 2 clouds, got 1 names"),
        ({"normals": torch.zeros(2, 4, 3)}, ValueError, "normals must have shape"),
        ({"part_labels": torch.zeros(2, 3).long()}, ValueError, "part_labels must be in 0 … -1"),
        ({"up_axis": "w"}, ValueError, "up_axis must be x, y or z"),
    ],
)
def test_a_wrong_set_is_refused(changed, error, message):
    with pytest.raises(error, match=message):
        cloud_set(**changed)


def test_a_point_that_is_not_finite_is_found():
    points = torch.zeros(2, 3, 3)
    points[1, 2, 0] = torch.nan
    with pytest.raises(
        ValueError, match="points must be finite, got values that are not, first in 1"
    ):
        cloud_set(points=points)

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcmamba.data.axes import LEAN_OF_CLASS, UP_AXES, estimate_up_axis, to_z_up
from pcmamba.models.preprocessing import to_z_up as model_to_z_up

NAMES = tuple(LEAN_OF_CLASS)


def standing(rng, classes=NAMES, copies=3, points=64):
    """Blobs that gather where their class does, z up, and their labels."""
    clouds = rng.random((copies * len(classes), points, 3)).astype(np.float32)
    labels = np.tile([NAMES.index(name) for name in classes], copies)
    leans = np.array([LEAN_OF_CLASS[NAMES[label]] for label in labels])
    clouds[..., 2] = clouds[..., 2] ** (3.0 ** -leans[:, None])
    return clouds, labels


@pytest.mark.parametrize("axis", UP_AXES)
def test_the_up_vector_becomes_z(axis):
    up = np.eye(3, dtype=np.float32)[UP_AXES.index(axis)]
    assert to_z_up(up, axis).tolist() == [0, 0, 1]


@pytest.mark.parametrize("axis", UP_AXES)
def test_it_is_a_rotation_and_no_mirror(axis):
    rows = to_z_up(np.eye(3), axis)
    assert np.linalg.det(rows) == pytest.approx(1)


@pytest.mark.parametrize("axis", UP_AXES)
def test_models_turn_the_same_way(axis):
    points = torch.arange(12.0).reshape(2, 2, 3)
    assert torch.equal(to_z_up(points, axis), model_to_z_up(points, axis))
    assert np.array_equal(to_z_up(points.numpy(), axis), model_to_z_up(points, axis).numpy())


def test_an_unknown_axis_is_refused():
    with pytest.raises(ValueError, match="up_axis must be x, y or z, got 'Z'"):
        to_z_up(np.zeros(3), "Z")


@pytest.mark.parametrize("axis", UP_AXES)
def test_the_axis_is_told_from_standing_shapes(axis):
    clouds, labels = standing(np.random.default_rng(0))
    # The inverse of a cyclic exchange of three axes is the exchange done twice.
    turned = to_z_up(to_z_up(clouds, axis), axis)
    found = estimate_up_axis(turned, labels, NAMES)
    assert found.axis == axis and len(found.classes) == 10
    assert f"up axis {axis}, told from 10 standing classes" in str(found)


def test_turning_the_data_turns_the_scores():
    clouds, labels = standing(np.random.default_rng(1))
    x, y, z = estimate_up_axis(clouds, labels, NAMES).scores
    assert estimate_up_axis(clouds[..., [1, 2, 0]], labels, NAMES).scores == (y, z, x)


def test_a_lean_by_hand():
    # Extent 4, middle 2, mean 3: a quarter up; nothing sideways, and flat along y.
    table = np.array([[[0, 0, 0], [2, 0, 4], [0, 0, 4], [2, 0, 4]]], np.float32)
    clouds, labels = np.repeat(table, 3, axis=0), np.arange(3)
    found = estimate_up_axis(clouds, labels, ("table", "stool", "desk"))
    assert found.scores == (0.0, 0.0, 0.25)


def test_shapes_on_their_heads_are_refused():
    clouds, labels = standing(np.random.default_rng(2))
    with pytest.raises(ValueError, match="must not stand on their heads, got -z up"):
        estimate_up_axis(-clouds, labels, NAMES)


def test_shapeless_data_are_refused():
    rng = np.random.default_rng(3)
    clouds = rng.random((30, 512, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="up_axis must be given, no axis leads clearly"):
        estimate_up_axis(clouds, np.arange(30) % 10, NAMES)


def test_too_few_classes_are_refused():
    clouds, labels = standing(np.random.default_rng(4), classes=("bed", "table"))
    with pytest.raises(ValueError, match=r"fewer than 3 of the classes .*, got bed, table"):
        estimate_up_axis(clouds, labels, NAMES)

"""Colours stay apart for normal and colour-blind eyes; published ones are taken as published."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.viz.palette import (
    LABELS,
    RAMPS,
    RIGHT,
    UNLABELLED,
    WRONG,
    by_label,
    by_value,
    label_table,
    to_hex,
)

# Machado, Oliveira and Fernandes (2009), full loss of one cone, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                   [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                     [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def oklab(colors, eye):
    share = np.asarray(colors) / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(EYES[eye]).T, 0, 1)
    return np.cbrt(seen @ TO_LMS.T) @ TO_OKLAB.T


def least_distance(colors, eye):
    lab = oklab(colors, eye)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    return distance[np.triu_indices(len(lab), 1)].min()


@pytest.mark.parametrize("eye", EYES)
def test_labels_and_errors_stay_apart_for_every_eye(eye):
    assert least_distance(LABELS, eye) > 0.07
    assert least_distance(LABELS[:7], eye) > 0.075
    assert least_distance(np.concatenate([RIGHT, WRONG]), eye) > 0.17


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize("eye", EYES)
def test_ramps_grow_lighter_for_every_eye(ramp, eye):
    assert (np.diff(oklab(RAMPS[ramp], eye)[:, 0]) > 0.005).all()


def test_labels_take_the_table_in_turn_and_grey_without_one():
    colors = by_label([0, 1, len(LABELS), -1])
    assert colors.dtype == np.uint8
    assert np.array_equal(colors, [LABELS[0], LABELS[1], LABELS[0], UNLABELLED])


def test_published_colours_are_taken_for_their_classes_alone():
    s3dis = ("ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair",
             "sofa", "bookcase", "board", "clutter")  # fmt: skip
    assert label_table(s3dis)[8].tolist() == [255, 0, 0]
    assert label_table(s3dis[::-1])[4].tolist() == [255, 0, 0]
    assert np.array_equal(label_table(s3dis, "safe"), LABELS[:13])
    assert np.array_equal(label_table(s3dis[:5]), LABELS[:5])
    with pytest.raises(ValueError, match="palette must be 'auto' or 'safe', got 'pretty'"):
        label_table(s3dis, "pretty")


def test_values_reach_both_ends_of_a_ramp_and_stay_inside():
    colors = by_value([-5.0, 0.0, 0.5, 1.0, 9.0], "height", 0.0, 1.0)
    assert np.array_equal(colors[[0, 1, 3, 4]], RAMPS["height"][[0, 0, -1, -1]])
    assert np.array_equal(by_value([2.0, 2.0], "height"), RAMPS["height"][[0, 0]])
    assert to_hex(by_value([0.0], "sequence")[0]) == "#0d0887"

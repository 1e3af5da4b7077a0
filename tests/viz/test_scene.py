"""What a scene shows of a sample: colours, legend, panels, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcmamba.data.structures import CloudSet, PointCloud
from pcmamba.viz.palette import LABELS, RAMPS, RIGHT, UNLABELLED, WRONG
from pcmamba.viz.sample import Sample, sample_of_cloud, sample_of_set
from pcmamba.viz.scene import default_mode, make_scene, modes_of, sequence_of

POINTS = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 2], [1, 1, 3]], np.float32)
PLAIN = Sample(POINTS, title="scan.ply")
PARTS = replace(
    PLAIN,
    labels=np.array([0, 1, 1, -1]),
    predicted_labels=np.array([0, 1, 0, 0]),
    label_names=("leg", "top"),
)
ANSWER = replace(
    PLAIN, class_name="desk", predicted_class="table", class_names=("chair", "desk", "table"),
    confidence=0.75,
)  # fmt: skip


def test_modes_are_those_that_something_is_known_for():
    assert modes_of(PLAIN) == ("height", "sequence")
    assert modes_of(PARTS) == ("class", "part", "height", "error", "sequence")
    assert modes_of(ANSWER) == ("class", "height", "error", "confidence", "sequence")
    assert [default_mode(sample) for sample in (PLAIN, PARTS, ANSWER)] == [
        "height",
        "part",
        "height",
    ]
    colored = replace(PLAIN, colors=np.zeros((4, 3), np.uint8))
    assert default_mode(colored) == make_scene(colored).mode == "color"


def test_parts_show_truth_beside_prediction_in_the_same_colours():
    scene = make_scene(PARTS, "part")
    truth, prediction = scene.panels
    assert (truth.caption, prediction.caption) == ("truth", "prediction")
    assert np.array_equal(truth.colors, [LABELS[0], LABELS[1], LABELS[1], UNLABELLED])
    assert np.array_equal(prediction.colors, LABELS[[0, 1, 0, 0]])
    assert scene.legend.names == ("no label", "leg", "top")
    assert scene.legend.colors == tuple(tuple(c.tolist()) for c in (UNLABELLED, *LABELS[:2]))


def test_wrong_points_are_red():
    [panel] = make_scene(PARTS, "error").panels
    assert np.array_equal(panel.colors, [RIGHT[0], RIGHT[0], WRONG[0], WRONG[0]])
    scene = make_scene(ANSWER, "error")
    assert np.array_equal(scene.panels[0].colors, np.repeat(WRONG, 4, axis=0))
    assert scene.legend.names[1] == "wrong (100.0%)"


def test_a_class_keeps_its_colour_whatever_is_beside_it():
    scene = make_scene(ANSWER, "class")
    assert [panel.caption for panel in scene.panels] == ["truth: desk", "prediction: table"]
    assert np.array_equal(scene.panels[1].colors, LABELS[[2, 2, 2, 2]])
    assert scene.legend.names == ("desk", "table")
    assert scene.title == "scan.ply  ·  table 75.0%, truth desk"


def test_height_and_confidence_run_along_their_ramps():
    scene = make_scene(PLAIN, "height")
    assert np.array_equal(scene.panels[0].colors[[0, 3]], RAMPS["height"][[0, -1]])
    assert (scene.legend.low, scene.legend.high) == ("0", "3")
    each = replace(PLAIN, confidence=np.array([0.0, 1.0, 0.5, 1.0]))
    colors = make_scene(each, "confidence").panels[0].colors
    assert np.array_equal(colors[[0, 1]], RAMPS["confidence"][[0, -1]])


def test_a_sequence_is_coloured_in_its_order_and_threaded():
    line = np.arange(9, dtype=np.float32)[:, None] * np.array([[1, 0, 0]], np.float32)
    shuffled = line[[4, 8, 0, 1, 7, 2, 6, 3, 5]]
    assert shuffled[sequence_of(shuffled, "raster")][:, 0].tolist() == list(range(9))
    scene = make_scene(Sample(shuffled), "sequence", order="raster")
    [panel] = scene.panels
    assert np.array_equal(panel.colors[[2, 1]], RAMPS["sequence"][[0, -1]])
    assert shuffled[panel.line][:, 0].tolist() == list(range(9))
    assert scene.legend.title == "place along raster"
    assert make_scene(Sample(shuffled), "sequence", line=False).panels[0].line is None


@pytest.mark.parametrize(
    ("sample", "options", "message"),
    [
        (PLAIN, {"mode": "hight"}, "Did you mean 'height'"),
        (PLAIN, {"mode": "part"}, "one of height, sequence for scan.ply, got 'part', which needs"),
        (PLAIN, {"mode": "error"}, "needs truth and prediction"),
        (PLAIN, {"mode": "sequence", "order": "hilbrt"}, "Did you mean 'hilbert'"),
        (PLAIN, {"mode": "sequence", "depth": 21}, "depth must be 1 to 20"),
    ],
)
def test_mistakes_are_named(sample, options, message):
    with pytest.raises(ValueError, match=message):
        make_scene(sample, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": np.zeros((0, 3), np.float32)}, r"points must be \(N, 3\)"),
        ({"points": np.full((4, 3), np.nan, np.float32)}, "points must be finite"),
        ({"labels": np.zeros(3, np.int64)}, r"labels must have shape \(4,\)"),
        ({"colors": np.zeros((4, 4), np.uint8)}, r"colors must have shape \(4, 3\)"),
    ],
)
def test_samples_refuse_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **changes)


def test_clouds_are_turned_up_and_say_so():
    sample = sample_of_cloud(PointCloud(xyz=POINTS, up_axis="y", source="a.ply"))
    assert np.array_equal(sample.points, POINTS[:, [2, 0, 1]])
    assert sample.notes == ("turned from y up",)
    assert sample_of_cloud(PointCloud(xyz=POINTS)).notes == ("up axis not given, taken as z",)


def test_a_set_gives_its_names_and_parts():
    cloud_set = CloudSet(
        points=torch.from_numpy(POINTS)[None],
        labels=torch.tensor([1]),
        class_names=("a", "b"),
        ids=("x",),
        name="tiny",
        split="test",
        up_axis="z",
        part_labels=torch.tensor([[0, 1, 1, 0]]),
        part_names=("p", "q"),
    )
    sample = sample_of_set(cloud_set, 0)
    assert (sample.title, sample.class_name) == ("tiny test 0: x", "b")
    assert sample.describe(1) == "point 1 at (1, 0, 1), label q, class b"
    with pytest.raises(ValueError, match="index must be 0 to 0, got 1"):
        sample_of_set(cloud_set, 1)

"""Files of scenes: pictures with a legend, labelled clouds, turntables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pcmamba.data.class_names import read_class_names
from pcmamba.data.readers import read_points
from pcmamba.viz import turntable
from pcmamba.viz.canvas import MOST_NAMES, compose
from pcmamba.viz.palette import LABELS, RAMPS, by_label
from pcmamba.viz.sample import Sample
from pcmamba.viz.save import draw_scene, numbered, save_ply, save_png
from pcmamba.viz.scene import Legend, Panel, Scene, make_scene
from pcmamba.viz.turntable import save_turntable

POINTS = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
SAMPLE = Sample(
    POINTS,
    title="blob",
    labels=np.arange(400) % 3,
    predicted_labels=np.arange(400) % 2,
    label_names=("a", "b", "c"),
    confidence=np.linspace(0, 1, 400),
)


def counted(picture, color):
    return int((np.asarray(picture) == np.asarray(color)).all(axis=2).sum())


def test_truth_and_prediction_lie_side_by_side_with_one_legend():
    picture = draw_scene(make_scene(SAMPLE, "part"), 200)
    width, height = picture.size
    assert width > 350 > height
    left, right = (np.asarray(picture)[:, part] for part in (slice(0, 200), slice(200, None)))
    assert counted(left, LABELS[2]) > 300
    assert counted(left, LABELS[2]) > 3 * counted(right, LABELS[2]) > 0  # a dot of the legend
    assert counted(right, LABELS[1]) > 300


def test_a_long_title_is_broken_and_nothing_is_clipped():
    plain = draw_scene(make_scene(SAMPLE, "part"), 200)
    long = replace(SAMPLE, title=" ".join(["a long title"] * 20), notes=("x" * 300,))
    picture = draw_scene(make_scene(long, "part"), 200)
    assert picture.height > plain.height + 40
    edge = np.asarray(picture).astype(int)
    for side in (edge[0], edge[-1], edge[:, 0], edge[:, -1]):
        assert (side == 255).all()


def test_a_legend_shows_every_name_or_says_how_many_more():
    square = np.full((400, 400, 3), 255, np.uint8)
    table = by_label(np.arange(30))
    colors = tuple(tuple(c.tolist()) for c in table)
    names = tuple(f"class number {k}" for k in range(30))
    for count in (5, MOST_NAMES, 30):
        legend = Legend("part", names[:count], colors[:count])
        scene = Scene((Panel(POINTS, by_label(np.zeros(400, int))),), legend, "", "", "part")
        picture = compose(scene, [square])
        shown = sum(counted(picture, color) > 20 for color in np.unique(table[:count], axis=0))
        assert shown == min(count, 20)
        assert (np.asarray(picture)[:, -1] == 255).all()
        assert (np.asarray(picture)[-1] == 255).all()


def test_a_ramp_has_both_ends():
    picture = draw_scene(make_scene(SAMPLE, "sequence"), 200)
    assert counted(picture, RAMPS["sequence"][0]) > 5
    assert counted(picture, RAMPS["sequence"][-1]) > 5


def test_png_is_written_whole_into_a_new_folder(tmp_path):
    save_png(tmp_path / "new" / "a.png", make_scene(SAMPLE, "part"), 100)
    assert Image.open(tmp_path / "new" / "a.png").format == "PNG"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match="size must be at least 64 pixels, got 10"):
        save_png(tmp_path / "b.png", make_scene(SAMPLE), 10)


def test_ply_keeps_points_labels_predictions_colours_and_names(tmp_path):
    scene = make_scene(SAMPLE, "part")
    save_ply(tmp_path / "new" / "a.ply", SAMPLE, scene)
    cloud = read_points(tmp_path / "new" / "a.ply")
    assert np.array_equal(cloud.xyz, POINTS)
    assert np.array_equal(cloud.labels, SAMPLE.labels)
    assert np.array_equal(cloud.attributes["predicted"], SAMPLE.predicted_labels)
    assert np.array_equal(cloud.attributes["confidence"], SAMPLE.confidence.astype(np.float32))
    assert np.array_equal(cloud.colors, scene.panels[1].colors)
    assert read_class_names(tmp_path / "new" / "a.ply") == ("a", "b", "c")


def test_class_names_of_files_without_any(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"ply\ncomment class 2 door\nend_header\n")
    np.savez(tmp_path / "b.npz", points=POINTS)
    np.savez(tmp_path / "c.npz", points=POINTS, class_names=np.array(["x", "y"]))
    (tmp_path / "d.npz").write_bytes(b"no archive")
    found = [read_class_names(tmp_path / name) for name in ("a.ply", "b.npz", "c.npz", "d.npz")]
    assert found == [("0", "1", "door"), (), ("x", "y"), ()]


def test_a_turntable_turns_once_and_keeps_its_size(tmp_path):
    save_turntable(tmp_path / "a.gif", make_scene(SAMPLE, "height"), 80, 5)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5
        frames = []
        for k in range(5):
            gif.seek(k)
            frames.append(np.asarray(gif.convert("RGB")))
    assert len({frame.shape for frame in frames}) == 1
    assert not np.array_equal(frames[0], frames[2])


def test_mp4_goes_through_ffmpeg_or_says_what_to_install(tmp_path, monkeypatch):
    stub = tmp_path / "ffmpeg"
    stub.write_text('#!/bin/sh\nfor last; do :; done\nwc -c > "$last"\n')
    stub.chmod(0o755)
    monkeypatch.setattr(turntable.shutil, "which", lambda name: str(stub))
    save_turntable(tmp_path / "a.mp4", make_scene(SAMPLE, "height"), 80, 2)
    width, height = (
        edge + edge % 2 for edge in next(turntable.turn(make_scene(SAMPLE, "height"), 80, 2)).size
    )
    assert int((tmp_path / "a.mp4").read_text()) == 2 * width * height * 3
    stub.write_text("#!/bin/sh\necho no such encoder >&2\nexit 1\n")
    with pytest.raises(OSError, match="no such encoder"):
        save_turntable(tmp_path / "b.mp4", make_scene(SAMPLE, "height"), 80, 2)
    monkeypatch.setattr(turntable.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ImportError, match="mp4 needs ffmpeg"):
        save_turntable(tmp_path / "b.mp4", make_scene(SAMPLE, "height"), 80, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "ffmpeg"]


def test_turntable_mistakes_are_named(tmp_path):
    for name, frames, message in (
        ("a.avi", 4, "must end in .gif or .mp4"),
        ("a.gif", 1, "at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            save_turntable(tmp_path / name, make_scene(SAMPLE), 80, frames)


def test_several_files_are_numbered(tmp_path):
    assert numbered(tmp_path / "a.png", 1) == [tmp_path / "a.png"]
    assert [path.name for path in numbered(tmp_path / "a.png", 2)] == ["a-1.png", "a-2.png"]

from __future__ import annotations

import builtins

import matplotlib.image
import numpy as np
import pytest

from pcmamba.viz.cloud_picture import save_cloud_png

POINTS = np.random.default_rng(0).normal(size=(300, 3))


def drawn(path):
    """Return the box (left, top, right, bottom) of what is not white, and the picture."""
    picture = matplotlib.image.imread(path)[..., :3]
    rows, columns = (picture < 0.95).any(axis=2).nonzero()
    return (columns.min(), rows.min(), columns.max(), rows.max()), picture


def test_a_tall_cloud_is_drawn_tall_in_equal_scales(tmp_path):
    tall = POINTS * [0.1, 0.1, 1.0]
    save_cloud_png(tmp_path / "new" / "a.png", tall, size=200)
    left, top, right, bottom = drawn(tmp_path / "new" / "a.png")[0]
    assert bottom - top > 3 * (right - left)


def test_up_axis_turns_the_cloud(tmp_path):
    tall = POINTS * [0.1, 0.1, 1.0]
    save_cloud_png(tmp_path / "z.png", tall, size=200)
    save_cloud_png(tmp_path / "y.png", tall[:, [1, 2, 0]], up_axis="y", size=200)
    assert np.array_equal(drawn(tmp_path / "z.png")[1], drawn(tmp_path / "y.png")[1])


def test_same_cloud_same_picture_and_many_points_are_drawn(tmp_path):
    many = np.random.default_rng(1).normal(size=(70_000, 3))
    for name in "ab":
        save_cloud_png(tmp_path / f"{name}.png", many, size=200)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_colors_and_labels_show(tmp_path):
    red = np.tile(np.array([[255, 0, 0]], dtype=np.uint8), (300, 1))
    save_cloud_png(tmp_path / "red.png", POINTS, colors=red, title="red", size=200)
    picture = drawn(tmp_path / "red.png")[1]
    assert ((picture[..., 0] > 0.5) & (picture[..., 1] < 0.5)).sum() > 500
    save_cloud_png(tmp_path / "labels.png", POINTS, labels=np.arange(300) % 3, size=200)
    assert not np.array_equal(drawn(tmp_path / "labels.png")[1].shape, ())


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.ones((5, 3)), POINTS[:, [0, 1, 1]]])
def test_degenerate_clouds_are_drawn(tmp_path, points):
    save_cloud_png(tmp_path / "a.png", points, size=200)
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((0, 3)), {}, r"points must be \(N, 3\)"),
        (np.zeros((4, 2)), {}, r"got \(4, 2\)"),
        (np.full((4, 3), np.inf), {}, "points must be finite"),
        (np.zeros((4, 3)), {"up_axis": "w"}, "up_axis must be x, y or z"),
        (np.zeros((4, 3)), {"labels": [1, 2]}, "must fit the 4 points, got 2"),
        (np.zeros((4, 3)), {"labels": [1] * 4, "colors": np.zeros((4, 3))}, "not both"),
    ],
)
def test_mistakes_are_named(tmp_path, points, options, message):
    with pytest.raises(ValueError, match=message):
        save_cloud_png(tmp_path / "a.png", points, **options, size=200)


def test_missing_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'pcmamba\[viz\]'"):
        save_cloud_png(tmp_path / "a.png", POINTS, size=200)

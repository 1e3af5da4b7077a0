"""The own renderer: exact colours, the nearest in front, the same from every machine."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.viz.camera import Camera, fit, fit_all_round
from pcmamba.viz.palette import LABELS, by_label
from pcmamba.viz.render import render
from pcmamba.viz.scene import Panel
from pcmamba.viz.splat import Splats, draw, outline

DICE = np.random.default_rng(0)
SPHERE = DICE.normal(size=(1500, 3))
SPHERE /= np.linalg.norm(SPHERE, axis=1, keepdims=True)
OCTANT = (SPHERE > 0) @ np.array([1, 2, 4])
SIZE = 300


def front_pixels(points, camera, size):
    """Return (column, row) of points that no other comes near in the picture and nothing hides."""
    seen = camera.project(points, points.mean(axis=0))
    column, row, depth = fit(seen, size).pixels(seen)
    near = np.hypot(column[:, None] - column, row[:, None] - row) < 12
    front = (np.where(near, depth[None], -np.inf).max(axis=1) - depth) <= 0
    return np.floor(column[front]).astype(int), np.floor(row[front]).astype(int), front


def test_sampled_pixels_have_exactly_the_colours_of_the_palette():
    picture = render(Panel(SPHERE, by_label(OCTANT)), SIZE)
    column, row, front = front_pixels(SPHERE, Camera(), SIZE)
    assert len(column) > 50
    assert np.array_equal(picture[row, column], LABELS[OCTANT[front]])
    flat = picture.reshape(-1, 3)
    inked = flat[(flat != flat[:, :1]).any(axis=1)]  # neither ground nor shadow, which are grey
    exact = (inked[:, None] == LABELS[:8]).all(axis=2).any(axis=1)
    assert exact.mean() > 0.4


def test_the_nearest_point_is_in_front_whatever_the_order():
    at = np.full(2, 10.5)
    for near, first in ((5.0, 0), (-5.0, 1)):
        colors = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
        picture, depth = draw([Splats(at, at, np.array([near, 0.0]), colors, 3.0)], 21)
        assert picture[10, 10].tolist() == colors[first].tolist()
        assert depth[10, 10] == max(near, 0.0) + 3.0
    assert depth[0, 0] == -np.inf


def test_discs_are_round_and_cut_at_the_edges():
    at = np.array([0.5])
    picture, depth = draw([Splats(at, at, at, np.array([[1, 2, 3]], np.uint8), 4.0)], 9)
    inked = depth > -np.inf
    rows, columns = np.indices((9, 9))
    assert np.array_equal(inked, rows**2 + columns**2 <= 16)
    assert (picture[inked] == [1, 2, 3]).all()


def test_light_falls_beside_a_step_and_nowhere_else():
    depth = np.full((9, 9), -np.inf, np.float32)
    depth[2:7, 2:7] = 0
    depth[2:7, 5:7] = 50
    light = outline(depth, 1, 5.0, 0.5)
    assert (light[:, 4] < 1).sum() == 5
    assert (np.delete(light, 4, axis=1) == 1).all()


def test_a_line_is_drawn_between_far_points():
    points = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    colors = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    camera = Camera(0.0, 0.0)
    bare = render(Panel(points, colors), 101, camera)
    lined = render(Panel(points, colors, np.array([0, 1])), 101, camera)
    assert (bare[50, 40:60] >= 190).all()
    assert lined[50, 50, 0] == pytest.approx(100, abs=3)
    assert (lined[50, 20:80, 1] < 40).all()


def test_the_same_points_give_the_same_bits():
    panel = Panel(SPHERE, by_label(OCTANT), np.arange(1500))
    assert np.array_equal(render(panel, 120), render(panel, 120))


def test_every_azimuth_fits_into_the_frame_of_a_turn():
    points = SPHERE * [1.0, 0.3, 0.6] + [4.0, 2.0, 1.0]
    centre = points.mean(axis=0)
    frame = fit_all_round(points, centre, 22.0, 200)
    for azimuth in range(0, 360, 15):
        column, row, _ = frame.pixels(Camera(azimuth, 22.0).project(points, centre))
        assert min(column.min(), row.min()) > 4
        assert max(column.max(), row.max()) < 196


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.ones((5, 3)), SPHERE[:, [0, 1, 1]]])
def test_degenerate_clouds_are_drawn(points):
    picture = render(Panel(points, by_label(np.zeros(len(points), np.int64))), 100)
    assert (picture == LABELS[0]).all(axis=2).any()

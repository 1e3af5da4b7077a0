"""Pictures of capsules: areas, edges and logarithms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pcmamba.data.gestures.render import cover, log, render


def test_the_logarithm_is_right_to_eleven_places() -> None:
    for value in (*np.geomspace(1e-6, 1e6, 301), 1.0, math.sqrt(0.5), np.nextafter(1.0, 0.0)):
        assert log(value) == pytest.approx(math.log(value), rel=1e-11, abs=1e-15)


def test_a_capsule_covers_its_area() -> None:
    # A disc and a segment's sides: pi r^2 + 2 r length, whatever the direction.
    for x1, y1 in ((22.3, 8.1), (8.1, 22.3), (20.0, 20.0)):
        length = math.hypot(x1 - 8.1, y1 - 8.1)
        covered = cover(np.zeros((32, 32)), np.array([[8.1, 8.1, x1, y1, 3.2]]), 1.0)
        assert covered.sum() == pytest.approx(math.pi * 3.2**2 + 6.4 * length, rel=0.01)


def test_an_edge_is_a_ramp_of_one_pixel() -> None:
    covered = cover(np.zeros((9, 9)), np.array([[4.0, 4.0, 4.0, 4.0, 2.25]]), 1.0)
    assert covered[4].tolist() == [0.0, 0.0, 0.75, 1.0, 1.0, 1.0, 0.75, 0.0, 0.0]


def test_capsules_of_one_figure_do_not_add_up() -> None:
    one = np.array([[4.0, 4.0, 4.0, 4.0, 2.25]])
    assert np.array_equal(
        cover(np.zeros((9, 9)), one, 1.0), cover(np.zeros((9, 9)), np.repeat(one, 3, axis=0), 1.0)
    )


def test_a_film_is_the_log_of_its_pictures_and_leaves_no_trace() -> None:
    picture = np.random.default_rng(0).uniform(0.5, 1.5, (12, 10))
    capsules = np.array([[[3.0, 3, 6, 7, 2]], [[-9, -9, -9, -9, 2]], [[5, 40, 7, 2, 1.5]]])
    film = render(picture, capsules, 2.0)
    for frame, parts in zip(film, capsules, strict=True):
        assert np.allclose(frame, np.log(cover(picture, parts, 2.0)), atol=1e-6)
    assert np.allclose(film[1], np.log(picture), atol=1e-6)

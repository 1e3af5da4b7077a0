"""Strokes and gestures: reversible where they must be, and figures that hold together."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.gestures.body import draw_body
from pcmamba.data.gestures.motions import GESTURES, perform
from pcmamba.data.gestures.strokes import STROKES
from pcmamba.data.shapes import Dice

U = np.linspace(0.0, 1.0, 101)


@pytest.mark.parametrize("name", ["left", "right", "raise", "push"])
def test_out_and_back_is_alike_in_both_directions(name: str) -> None:
    track = STROKES[name](U, Dice(1))
    for way in (track.x, track.y, track.size):
        assert np.allclose(way, way[::-1], atol=1e-12)


@pytest.mark.parametrize("name", list(STROKES))
def test_strokes_begin_at_rest_and_come_back(name: str) -> None:
    track = STROKES[name](U, Dice(2))
    for end in (0, -1):
        assert (track.x[end], track.y[end], track.size[end]) == pytest.approx((0, 0, 1), abs=1e-9)


def _turning(track) -> np.ndarray:
    """Return the signed area swept a step; positive is clockwise, since y runs downwards."""
    return (
        np.diff(track.x)[:-1] * np.diff(track.y)[1:] - np.diff(track.y)[:-1] * np.diff(track.x)[1:]
    )


def test_circles_turn_as_they_are_called() -> None:
    for key in range(5):
        assert (_turning(STROKES["circle_clockwise"](U, Dice(key))) > 0).all()
        assert (_turning(STROKES["circle_counterclockwise"](U, Dice(key))) < 0).all()
    free = [_turning(STROKES["circle"](U, Dice(key))).sum() > 0 for key in range(40)]
    assert 10 < sum(free) < 30


def test_neighbours_are_a_pair_played_backwards() -> None:
    names = list(GESTURES)
    assert names[:2] == ["circle_clockwise", "circle_counterclockwise"]
    for first, second in zip(names[2::2], names[3::2], strict=True):
        a, b = GESTURES[first], GESTURES[second]
        parts = [tuple(zip(g.strokes, g.arms or (None, None), strict=True)) for g in (a, b)]
        assert parts[0] == parts[1][::-1] != parts[1]


def test_strokes_happen_in_the_order_of_the_name() -> None:
    for key in range(10):
        x = next(iter(perform(GESTURES["left_then_right"], 250.0, Dice(key)).tracks.values())).x
        assert x.argmin() < x.argmax()
        tracks = perform(GESTURES["right_arm_then_left_arm"], 250.0, Dice(key)).tracks
        assert tracks[1].y.argmin() < tracks[0].y.argmin()


def test_links_keep_their_lengths_and_hang_together() -> None:
    for key in range(10):
        dice = Dice(key)
        body = draw_body(dice)
        motion = perform(GESTURES["raise_then_wave"], 250.0, dice)
        ((arm, track),) = motion.tracks.items()
        parts = body.moving(arm, track, body.reach(arm, 0.0))
        upper, fore, hand = np.moveaxis(parts, 1, 0)
        for part, length in zip((upper, fore), body.links, strict=True):
            reached = np.hypot(part[:, 2] - part[:, 0], part[:, 3] - part[:, 1])
            assert np.allclose(reached, body.scale * length, atol=1e-9)
        assert np.allclose(upper[:, 2:4], fore[:, :2])
        assert np.allclose(fore[:, 2:4], hand[:, :2])
        step = np.hypot(*np.diff(hand[:, :2], axis=0).T).max()
        assert step * 48 < 1.5  # pixels between two pictures

"""Strokes: what a hand does between leaving its place of rest and coming back to it.

Apart from the circles with a direction, each stroke looks alike forwards and backwards in time:
out and back on one path, or with a direction that is drawn. So a recording of A then B, played
backwards, is one of B then A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pcmamba.data.shapes.dice import Array, Dice, cos_sin
from pcmamba.registry import Registry


@dataclass(frozen=True)
class Track:
    """A hand over time, all (F,) float64.

    Attributes:
        x: Way from the place of rest to the right, in units of the gesture's width.
        y: Way downwards.
        size: Size of the hand, which grows as it nears the camera; 1 at rest.
    """

    x: Array
    y: Array
    size: Array


Stroke = Callable[[Array, Dice], Track]
STROKES: Registry[Stroke] = Registry("stroke")


def ease(progress: Array) -> Array:
    """Return 0 to 1 for 0 to 1, starting and ending at rest and without jerk."""
    u = np.clip(progress, 0.0, 1.0)
    return u * u * u * (10.0 + u * (6.0 * u - 15.0))


def out_and_back(progress: Array) -> Array:
    """Return 0 to 1 and back to 0, the same forwards and backwards."""
    return ease(1.0 - np.abs(2.0 * progress - 1.0))


@STROKES.register("left")
def left(progress: Array, dice: Dice) -> Track:
    """Move out to the left and back, on an arc."""
    return _aside(-1.0, progress, dice)


@STROKES.register("right")
def right(progress: Array, dice: Dice) -> Track:
    """Move out to the right and back, on an arc."""
    return _aside(1.0, progress, dice)


@STROKES.register("raise")
def raised(progress: Array, dice: Dice) -> Track:
    """Move up and down again, on an arc."""
    way = out_and_back(progress)
    return Track(dice.uniform(-0.3, 0.3) * way * way, -1.3 * way, np.ones_like(way))


@STROKES.register("push")
def push(progress: Array, dice: Dice) -> Track:
    """Near the camera and go away again."""
    way = out_and_back(progress)
    aside, down = dice.uniform(-0.15, 0.15), dice.uniform(-0.15, 0.15)
    return Track(aside * way, down * way, 1.0 + dice.uniform(1.0, 1.6) * way)


@STROKES.register("wave")
def wave(progress: Array, dice: Dice) -> Track:
    """Swing to both sides twice, beginning with either."""
    _, sway = cos_sin(2.0 * progress)
    width = dice.uniform(0.4, 0.6) * (1.0 if dice.chance(0.5) else -1.0)
    return Track(width * sway, np.zeros_like(sway), np.ones_like(sway))


@STROKES.register("circle")
def circle(progress: Array, dice: Dice) -> Track:
    """Go once around, in either direction, from anywhere on the circle."""
    turns = 1.0 if dice.chance(0.5) else -1.0
    return _around(turns, dice.uniform(0.5, 0.7), ease(progress), dice.uniform(0.0, 1.0))


@STROKES.register("circle_clockwise")
def circle_clockwise(progress: Array, dice: Dice) -> Track:
    """Go once around from below, clockwise as the camera sees it."""
    return _around(1.0, dice.uniform(0.9, 1.1), progress, _below(dice))


@STROKES.register("circle_counterclockwise")
def circle_counterclockwise(progress: Array, dice: Dice) -> Track:
    """Go once around from below, counter-clockwise as the camera sees it."""
    return _around(-1.0, dice.uniform(0.9, 1.1), progress, _below(dice))


def _aside(width: float, progress: Array, dice: Dice) -> Track:
    way = out_and_back(progress)
    return Track(width * way, dice.uniform(-0.3, 0.3) * way * way, np.ones_like(way))


def _below(dice: Dice) -> float:
    """Draw where a circle begins, in turns: its lowest place, more or less."""
    return dice.uniform(0.1, 0.4)


def _around(turns: float, radius: float, progress: Array, start: float) -> Track:
    x, y = cos_sin(start + turns * progress)  # y runs downwards: growing angles are clockwise
    return Track(radius * (x - x[0]), radius * (y - y[0]), np.ones_like(x))

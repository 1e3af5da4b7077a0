"""Gestures: one stroke, or two in an order that makes the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcmamba.data.gestures.strokes import STROKES, Track
from pcmamba.data.shapes.dice import Array, Dice


@dataclass(frozen=True)
class Gesture:
    """What one class consists of.

    Attributes:
        strokes: Names of the strokes in order.
        arms: Which arm does each: 0 the one further left in the picture, 1 the other; None where
            one arm, drawn, does all.
    """

    strokes: tuple[str, ...]
    arms: tuple[int, ...] | None = None


# Neighbours are a pair: one is the other played backwards.
GESTURES = {
    "circle_clockwise": Gesture(("circle_clockwise",)),
    "circle_counterclockwise": Gesture(("circle_counterclockwise",)),
    "left_then_right": Gesture(("left", "right")),
    "right_then_left": Gesture(("right", "left")),
    "push_then_circle": Gesture(("push", "circle")),
    "circle_then_push": Gesture(("circle", "push")),
    "raise_then_wave": Gesture(("raise", "wave")),
    "wave_then_raise": Gesture(("wave", "raise")),
    "left_arm_then_right_arm": Gesture(("raise", "raise"), (0, 1)),
    "right_arm_then_left_arm": Gesture(("raise", "raise"), (1, 0)),
}


@dataclass(frozen=True)
class Motion:
    """A gesture as one performer does it.

    Attributes:
        seconds: (F,) float64 times of the pictures, from 0, evenly spaced.
        tracks: The way of the hand of each arm that moves, by arm.
    """

    seconds: Array
    tracks: dict[int, Track]


def perform(gesture: Gesture, rate: float, dice: Dice) -> Motion:
    """Draw speeds, pauses and the arm, and follow the hands.

    Args:
        gesture: What to do.
        rate: Pictures a second.
        dice: Where the choices come from.
    """
    count = len(gesture.strokes)
    lengths = [dice.uniform(0.35, 0.65) for _ in range(2)]
    if count == 1:
        lengths = [sum(lengths)]
    pauses = [dice.uniform(0.0, 0.1) for _ in range(count + 1)]
    arms = gesture.arms or (dice.between(0, 1),) * count
    seconds = np.arange(int(rate * (sum(lengths) + sum(pauses))) + 1) / rate
    tracks: dict[int, Track] = {}
    start = 0.0
    for name, arm, length, pause in zip(gesture.strokes, arms, lengths, pauses, strict=False):
        start += pause
        track = STROKES[name](np.clip((seconds - start) / length, 0.0, 1.0), dice)
        tracks[arm] = _both(tracks[arm], track) if arm in tracks else track
        start += length
    return Motion(seconds, {arm: _centred(track) for arm, track in tracks.items()})


def _both(a: Track, b: Track) -> Track:
    """Join two strokes; a hand is at rest, (0, 0) and 1, before and after each."""
    return Track(a.x + b.x, a.y + b.y, a.size + b.size - 1.0)


def _centred(track: Track) -> Track:
    """Move the place of rest so that the gesture's middle is at (0, 0)."""
    x, y = (0.5 * (way.min() + way.max()) for way in (track.x, track.y))
    return Track(track.x - x, track.y - y, track.size)

"""From a gesture's name and a key to what the sensor records of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.events import Events
from pcmamba.data.gestures.body import Body, draw_body
from pcmamba.data.gestures.motions import GESTURES, Motion, perform
from pcmamba.data.gestures.sensor import Sensor
from pcmamba.data.shapes.dice import Array, Dice

RATE = 250.0  # pictures a second: a hand moves by about half a pixel of 48 at most


def simulate(gesture: str, side: int, sensor: Sensor, *key: int) -> Events:
    """Record a gesture by a performer, before a background, that `key` decides.

    Args:
        gesture: One of GESTURES.
        side: H and W of the sensor, pixels.
        sensor: How good it is.
        key: Integers >= 0; equal keys give equal recordings.
    """
    film, seconds, dice = make_film(gesture, side, *key)
    return sensor.sense(film, 1e6 * seconds, dice)


def make_film(gesture: str, side: int, *key: int) -> tuple[NDArray[np.float32], Array, Dice]:
    """Render a gesture.

    Returns:
        (F, side, side) float32 log intensities, (F,) float64 seconds, and the dice as they lie.
    """
    from pcmamba.data.gestures.render import cover, render

    dice = Dice(*key)
    motion = perform(GESTURES[gesture], RATE, dice)
    body, centres = _place(draw_body(dice), motion, dice)
    moving = np.concatenate(
        [body.moving(arm, track, centres[arm]) for arm, track in motion.tracks.items()], axis=1
    )
    picture = _background(side, dice)
    picture = cover(
        picture, _pixels(body.still(tuple(motion.tracks)), side), dice.uniform(0.4, 1.6)
    )
    # Brighter or darker than the mean background, alike often: else polarity would tell forwards
    # from backwards.
    contrast = dice.uniform(1.8, 3.0)
    intensity = contrast if dice.chance(0.5) else 1.0 / contrast
    return render(picture, _pixels(moving, side), intensity), motion.seconds, dice


def _place(body: Body, motion: Motion, dice: Dice) -> tuple[Body, dict[int, tuple[float, float]]]:
    """Stand the performer so that the gesture is in sight; return the gestures' centres too."""
    centres = {arm: body.reach(arm, dice.uniform(-0.1, 0.1)) for arm in motion.tracks}
    x, y = (sum(c[i] for c in centres.values()) / len(centres) for i in range(2))
    spread = 0.1 if len(centres) == 1 else 0.05
    at_x, at_y = (dice.uniform(0.5 - spread, 0.5 + spread) for _ in range(2))
    return replace(body, middle=(at_x - body.scale * x, at_y - body.scale * y)), centres


def _pixels(capsules: Array, side: int) -> Array:
    """Convert sides of the sensor to pixels, pixel (0, 0) being centred at (0, 0)."""
    return capsules * side - np.array([0.5, 0.5, 0.5, 0.5, 0.0])


def _background(side: int, dice: Dice) -> Array:
    """Draw smooth patches of some size and strength, about intensity 1."""
    strength = dice.uniform(0.05, 0.3)
    cells = dice.between(3, 8)
    knots = 2.0 * dice.uniforms(cells + 1, cells + 1) - 1.0
    where = (np.arange(side) + 0.5) * (cells / side)
    cell = where.astype(np.int64)
    part = where - cell
    part = part * part * (3.0 - 2.0 * part)
    rows = knots[cell] * (1.0 - part[:, None]) + knots[cell + 1] * part[:, None]
    patches = rows[:, cell] * (1.0 - part) + rows[:, cell + 1] * part
    return 1.0 + strength * patches

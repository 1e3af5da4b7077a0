"""An upright figure of capsules: a head, a trunk and two arms of two links and a hand.

A capsule is (x0, y0, x1, y1, radius): all points within the radius of a segment. Lengths are in
sides of the sensor, x to the right and y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcmamba.data.gestures.strokes import Track
from pcmamba.data.shapes.dice import Array, Dice, cos_sin


@dataclass(frozen=True)
class Body:
    """One performer in front of the camera.

    Attributes:
        middle: x and y between the shoulders.
        scale: Size of everything.
        shoulder: From the middle to a shoulder, before scaling, as all lengths below.
        links: Upper arm and forearm.
        radius: Of an arm.
        hand: Radius of a hand.
        width: Of the gestures: what a stroke's way of 1 is.
        bend: 1 or -1 for each arm: the side that the elbow points to.
        hang: Turn of each resting arm from straight down, outwards, in full turns.
        roll: Turn of the camera about its axis, in full turns.
    """

    middle: tuple[float, float]
    scale: float
    shoulder: float
    links: tuple[float, float]
    radius: float
    hand: float
    width: float
    bend: tuple[float, float]
    hang: tuple[float, float]
    roll: float

    def still(self, moving: tuple[int, ...]) -> Array:
        """Return the capsules (K, 5) of head, trunk and the arms that do not move."""
        parts = [(0.0, -0.17, 0.0, -0.14, 0.07), (0.0, 0.06, 0.0, 0.5, self.shoulder - 0.02)]
        for arm in {0, 1} - set(moving):
            parts += self._resting(arm)
        return self._placed(np.array(parts)[None])[0]

    def moving(self, arm: int, track: Track, centre: tuple[float, float]) -> Array:
        """Return the capsules (F, 3, 5) of an arm whose hand follows a track about `centre`."""
        shoulder = self._shoulder(arm)
        hand_x = centre[0] + self.width * track.x
        hand_y = centre[1] + self.width * track.y
        elbow_x, elbow_y, hand_x, hand_y = self._elbow(shoulder, hand_x, hand_y, self.bend[arm])
        still_x, still_y = (np.full_like(hand_x, place) for place in shoulder)
        thick = np.full_like(hand_x, self.radius)
        upper = (still_x, still_y, elbow_x, elbow_y, thick)
        fore = (elbow_x, elbow_y, hand_x, hand_y, thick)
        hand = (hand_x, hand_y, hand_x, hand_y, self.hand * track.size)
        return self._placed(np.stack([np.stack(part, axis=-1) for part in (upper, fore, hand)], 1))

    def reach(self, arm: int, turns: float) -> tuple[float, float]:
        """Return the middle of an arm's gestures: at half its length, `turns` below outwards."""
        cos, sin = cos_sin(turns)
        x, y = self._shoulder(arm)
        length = 0.53 * sum(self.links)
        return x + (2 * arm - 1) * length * float(cos), y + length * float(sin)

    def _shoulder(self, arm: int) -> tuple[float, float]:
        return (2 * arm - 1) * self.shoulder, 0.0

    def _resting(self, arm: int) -> list[tuple[float, float, float, float, float]]:
        cos, sin = cos_sin(self.hang[arm])
        x, y = self._shoulder(arm)
        end_x = x + (2 * arm - 1) * sum(self.links) * float(sin)
        end_y = y + sum(self.links) * float(cos)
        return [(x, y, end_x, end_y, self.radius), (end_x, end_y, end_x, end_y, self.hand)]

    def _elbow(
        self, shoulder: tuple[float, float], hand_x: Array, hand_y: Array, bend: float
    ) -> tuple[Array, Array, Array, Array]:
        """Find the elbow where circles about shoulder and hand meet; pull a hand into reach."""
        upper, fore = self.links
        x, y = hand_x - shoulder[0], hand_y - shoulder[1]
        distance = np.sqrt(x * x + y * y)
        shorter = np.clip(distance, abs(upper - fore) + 1e-3, upper + fore - 1e-3)
        x, y = x / distance, y / distance
        along = (upper * upper - fore * fore + shorter * shorter) / (2.0 * shorter)
        beside = bend * np.sqrt(np.maximum(upper * upper - along * along, 0.0))
        return (
            shoulder[0] + along * x - beside * y,
            shoulder[1] + along * y + beside * x,
            shoulder[0] + shorter * x,
            shoulder[1] + shorter * y,
        )

    def _placed(self, parts: Array) -> Array:
        """Turn, scale and move capsules (..., 5) to where the camera sees them."""
        cos, sin = (float(v) * self.scale for v in cos_sin(self.roll))
        x0, y0, x1, y1, radius = np.moveaxis(parts, -1, 0)
        left, top = self.middle
        placed = [
            left + cos * x0 - sin * y0, top + sin * x0 + cos * y0,
            left + cos * x1 - sin * y1, top + sin * x1 + cos * y1,
            self.scale * radius,
        ]  # fmt: skip
        return np.stack(placed, axis=-1)


def draw_body(dice: Dice) -> Body:
    """Draw proportions, pose and size of a performer who stands at (0, 0)."""
    links = (dice.uniform(0.19, 0.23), dice.uniform(0.18, 0.22))
    return Body(
        middle=(0.0, 0.0),
        scale=dice.uniform(0.85, 1.15),
        shoulder=dice.uniform(0.1, 0.13),
        links=links,
        radius=dice.uniform(0.028, 0.042),
        hand=dice.uniform(0.045, 0.06),
        width=sum(links) * dice.uniform(0.33, 0.42),
        bend=(_side(dice), _side(dice)),
        hang=(dice.uniform(0.0, 0.06), dice.uniform(0.0, 0.06)),
        roll=dice.uniform(-0.03, 0.03),
    )


def _side(dice: Dice) -> float:
    return 1.0 if dice.chance(0.5) else -1.0

"""Solids of revolution: bottle, can, cone, lamp, mug."""

from __future__ import annotations

import numpy as np

from pcmamba.data.shapes.dice import Dice, cos_sin
from pcmamba.data.shapes.family import family
from pcmamba.data.shapes.mesh import Mesh, bar, box, frustum, revolve, tube


@family("bottle", "body", "neck", "cap")
def bottle(dice: Dice) -> Mesh:
    """Build a body, a shoulder that narrows to a neck, and a cap."""
    body, neck, radius = dice.uniform(0.4, 1.2), dice.uniform(0.15, 0.5), dice.uniform(0.2, 0.4)
    narrow, shoulder = radius * dice.uniform(0.25, 0.5), dice.uniform(0.05, 0.4)
    waist = radius * dice.uniform(0.85, 1.0)
    lower = [(0.0, 0.0), (radius, 0.0), (waist, body / 2), (radius, body)]
    middle = [(0.6 * radius + 0.4 * narrow, body + 0.6 * shoulder), (narrow, body + shoulder)]
    mesh = revolve(lower + middle)
    top = body + shoulder + neck
    mesh += revolve([(narrow, body + shoulder), (narrow, top)]).labelled(1)
    cap = dice.uniform(1.05, 1.4) * narrow
    return mesh + frustum(cap, cap, dice.uniform(0.05, 0.15)).moved(0, 0, top).labelled(2)


@family("can", "side", "ends")
def can(dice: Dice) -> Mesh:
    """Build a closed cylinder, its ends often sunk below the rim."""
    radius, height = dice.uniform(0.2, 0.6), dice.uniform(0.4, 1.2)
    sunk = dice.uniform(0.0, 0.1) * height
    rim = dice.uniform(0.75, 1.0) * radius
    mesh = revolve([(rim, 0.0), (radius, 0.07), (radius, height - 0.07), (rim, height)])
    mesh += revolve([(0.0, 0.0), (rim, 0.0)]).labelled(1)
    return mesh + revolve([(rim, height), (rim, height - sunk), (0.0, height - sunk)]).labelled(1)


@family("cone", "cone", "plate")
def cone(dice: Dice) -> Mesh:
    """Build a cone, whole or cut off, on a plate like a traffic cone's."""
    radius, height = dice.uniform(0.25, 0.6), dice.uniform(0.5, 1.3)
    mesh = frustum(radius, dice.uniform(0.0, 0.3) * radius, height)
    edge, thick = dice.uniform(2.0, 2.8) * radius, dice.uniform(0.02, 0.08)
    if dice.chance(0.5):
        return mesh + box(edge, edge, thick).labelled(1)
    return mesh + frustum(edge / 2, edge / 2, thick).labelled(1)


@family("lamp", "base", "pole", "shade")
def lamp(dice: Dice) -> Mesh:
    """Build a base, a pole, and a shade that is open above and below."""
    height, pole = dice.uniform(0.6, 1.6), dice.uniform(0.012, 0.04)
    base = dice.uniform(0.15, 0.35)
    mesh = frustum(base, dice.uniform(0.1, 1.0) * base, dice.uniform(0.03, 0.25))
    mesh += bar((0, 0, 0), (0, 0, height), pole, segments=8).labelled(1)
    low, deep = dice.uniform(0.2, 0.45), dice.uniform(0.2, 0.5)
    shade = revolve([(low, -0.7 * deep), (dice.uniform(0.3, 1.0) * low, 0.3 * deep)])
    return mesh + shade.moved(0, 0, height).labelled(2)


@family("mug", "body", "handle")
def mug(dice: Dice) -> Mesh:
    """Build an open cup with a wall and a handle at its side."""
    radius, height, wall = dice.uniform(0.3, 0.5), dice.uniform(0.5, 1.1), dice.uniform(0.02, 0.06)
    low = dice.uniform(0.75, 1.0) * radius
    outside = [(0.0, 0.0), (low, 0.0), (radius, height)]
    inside = [(radius - wall, height), (low - wall, wall), (0.0, wall)]
    reach, tall = dice.uniform(0.15, 0.35), dice.uniform(0.25, 0.42) * height
    cos, sin = cos_sin(np.linspace(-0.25, 0.25, 13))
    path = np.stack([0.95 * radius + reach * cos, 0.0 * cos, height / 2 + tall * sin], axis=1)
    handle = tube(path, dice.uniform(0.03, 0.08), flat=(0.0, 1.0, 0.0))
    return revolve(outside + inside) + handle.labelled(1)

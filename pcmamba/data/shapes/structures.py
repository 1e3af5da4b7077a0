"""Other solids: airplane, arch, ring, stairs."""

from __future__ import annotations

import numpy as np

from pcmamba.data.shapes.dice import Dice, cos_sin
from pcmamba.data.shapes.family import family
from pcmamba.data.shapes.mesh import Mesh, box, ellipsoid, frustum, hexahedron, tube


def _fin(root: float, tip: float, span: float, sweep: float, thick: float) -> Mesh:
    """Build a tapered wing that stands on z = 0, its chord along x, its leading edge at x = 0."""
    half = thick / 2
    low = [(-root, -half, 0.0), (0.0, -half, 0.0), (0.0, half, 0.0), (-root, half, 0.0)]
    back = -sweep - tip
    high = [(back, -half, span), (-sweep, -half, span), (-sweep, half, span), (back, half, span)]
    return hexahedron(low, high)


def _lying(fin: Mesh, side: int) -> Mesh:
    """Lay a fin to the left (side 1) or to the right (side -1), keeping it the right way out."""
    x, y, z = np.moveaxis(fin.corners, -1, 0)
    return Mesh(np.stack([x, side * z, -side * y], axis=-1), fin.part)


@family("airplane", "fuselage", "wings", "tail", "engines")
def airplane(dice: Dice) -> Mesh:
    """Build a fuselage with two swept wings, a tail of three fins, and often engines."""
    radius, span, root = dice.uniform(0.06, 0.15), dice.uniform(0.6, 1.1), dice.uniform(0.2, 0.5)
    sweep, place = dice.uniform(0.0, 0.6), dice.uniform(0.0, 0.35)
    wing = _fin(root, dice.uniform(0.3, 0.9) * root, span, sweep, 0.04)
    level = dice.uniform(-0.7, 0.9) * radius
    mesh = ellipsoid(1.0, radius, radius)
    small = dice.uniform(0.3, 0.5)
    for side in (-1, 1):
        mesh += _lying(wing, side).moved(place, 0, level).labelled(1)
        fin = _lying(wing.scaled(small, 0.7, small), side)
        mesh += fin.moved(-0.8, 0, radius * 0.3).labelled(2)
    mesh += wing.scaled(small, 0.7, small).moved(-0.75, 0, 0).labelled(2)
    if dice.chance(0.5):
        size, out = dice.uniform(0.03, 0.07), dice.uniform(0.3, 0.6)
        for side in (-1, 1):
            engine = ellipsoid(3.0 * size, size, size)
            at = place - out * sweep
            mesh += engine.moved(at, side * out * span, level - size).labelled(3)
    return mesh


@family("arch", "pillars", "arc", "feet")
def arch(dice: Dice) -> Mesh:
    """Build two pillars joined by an arc, round or square in section, often on feet."""
    half, height, radius = dice.uniform(0.3, 0.7), dice.uniform(0.2, 1.0), dice.uniform(0.05, 0.16)
    rise, sides = dice.uniform(0.5, 1.3) * half, dice.choice((4, 10))
    cos, sin = cos_sin(np.linspace(0.0, 0.5, 17))
    path = np.stack([half * cos, 0.0 * cos, height + rise * sin], axis=1)
    mesh = tube(path, radius, flat=(0.0, 1.0, 0.0), segments=sides).labelled(1)
    feet = dice.chance(0.5)
    for side in (-half, half):
        pillar = tube(
            np.array([(side, 0, 0), (side, 0, height)]), radius, flat=(0, 1, 0), segments=sides
        )
        mesh += pillar
        if feet:
            mesh += box(3.2 * radius, 3.2 * radius, 0.1).moved(side, 0, 0).labelled(2)
    return mesh


@family("ring", "ring", "stand")
def ring(dice: Dice) -> Mesh:
    """Build a torus, lying flat or upright on a stand."""
    radius = dice.uniform(0.4, 0.8)
    thick = dice.uniform(0.15, 0.5) * radius
    cos, sin = cos_sin(np.arange(25) % 24 / 24.0)
    if dice.chance(0.5):
        path = np.stack([radius * cos, radius * sin, 0.0 * cos], axis=1)
        return tube(path, thick, flat=(0.0, 0.0, 1.0), segments=14)
    path = np.stack([radius * cos, 0.0 * cos, radius * sin], axis=1)
    upright = tube(path, thick, flat=(0.0, 1.0, 0.0), segments=14).moved(0, 0, radius + thick)
    stand = frustum(dice.uniform(0.5, 1.0) * radius, 1.2 * thick, 0.5 * thick)
    return upright + stand.labelled(1)


@family("stairs", "steps", "rail")
def stairs(dice: Dice) -> Mesh:
    """Build a flight of steps, solid or of treads alone, often with a rail."""
    steps, tread, rise = dice.between(4, 9), dice.uniform(0.15, 0.35), dice.uniform(0.1, 0.25)
    width, solid = dice.uniform(0.5, 1.4), dice.chance(0.6)
    meshes = []
    for k in range(steps):
        height = (k + 1) * rise if solid else 0.05
        block = box(tread, width, height).moved(k * tread, 0, (k + 1) * rise - height)
        meshes.append(block)
    mesh = sum(meshes[1:], meshes[0])
    if dice.chance(0.4):
        high = dice.uniform(0.3, 0.7)
        ends = [
            (0.0, -width / 2, rise + high),
            ((steps - 1) * tread, -width / 2, steps * rise + high),
        ]
        for x, y, z in ends:
            mesh += box(0.05, 0.05, high).moved(x, y, z - high).labelled(1)
        mesh += tube(np.array(ends), 0.04, flat=(0.0, 1.0, 0.0), segments=6).labelled(1)
    return mesh

"""Simple furniture: bed, cabinet, chair, shelf, sofa, stool, table."""

from __future__ import annotations

from pcmamba.data.shapes.dice import Dice, cos_sin
from pcmamba.data.shapes.family import family
from pcmamba.data.shapes.mesh import Mesh, bar, box, frustum


def _legs(x: float, y: float, height: float, radius: float, splay: float = 1.0) -> Mesh:
    """Build four legs under the corners of an x by y plate; `splay` widens their feet."""
    feet = [(sx * (x / 2 - radius), sy * (y / 2 - radius)) for sx in (-1, 1) for sy in (-1, 1)]
    first, *others = (bar((splay * u, splay * v, 0.0), (u, v, height), radius) for u, v in feet)
    return sum(others, first)


def _pedestal(reach: float, height: float, radius: float) -> Mesh:
    """Build a column on a flat foot."""
    foot = frustum(reach, 0.6 * reach, 0.08 * height)
    return foot + frustum(radius, radius, height, segments=12)


@family("bed", "mattress", "headboard", "footboard", "pillow", "legs")
def bed(dice: Dice) -> Mesh:
    """Build a mattress on legs with a board at its head, and often one at its foot."""
    length, width, thick = dice.uniform(1.6, 2.2), dice.uniform(0.8, 1.8), dice.uniform(0.15, 0.4)
    clearance, board = dice.uniform(0.1, 0.4), dice.uniform(0.05, 0.12)
    head = clearance + thick + dice.uniform(0.25, 0.8)
    mesh = box(length, width, thick).moved(0, 0, clearance)
    mesh += box(board, width, head).moved(-length / 2, 0, 0).labelled(1)
    if dice.chance(0.5):
        foot = clearance + thick + dice.uniform(0.05, 0.3)
        mesh += box(board, width, foot).moved(length / 2, 0, 0).labelled(2)
    pillows = dice.between(1, 2)
    for k in range(pillows):
        y = (k - (pillows - 1) / 2) * width / 2
        pillow = box(0.35, 0.75 * width / pillows, 0.12).moved(-length / 2 + 0.3, y, 0)
        mesh += pillow.moved(0, 0, clearance + thick).labelled(3)
    return mesh + _legs(length, width, clearance, dice.uniform(0.03, 0.08)).labelled(4)


@family("cabinet", "body", "top", "handle", "feet")
def cabinet(dice: Dice) -> Mesh:
    """Build a closed box with doors, knobs or bars on them, a top that juts out, and feet."""
    x, y, z = dice.uniform(0.5, 1.5), dice.uniform(0.35, 0.8), dice.uniform(0.6, 1.8)
    clearance, jut = dice.uniform(0.05, 0.2), dice.uniform(0.0, 0.15)
    mesh = box(x, y, z).moved(0, 0, clearance)
    mesh += box(x + jut, y + jut, 0.05).moved(0, 0, clearance + z).labelled(1)
    doors, rows = dice.between(1, 3), dice.between(1, 3)
    size = (0.04, 0.05, dice.uniform(0.1, 0.5) * z / rows)
    for door in range(doors):
        for row in range(rows):
            at = ((door + 0.7) / doors - 0.5) * x, clearance + (row + 0.4) / rows * z
            mesh += box(*size).moved(at[0], -y / 2 - 0.025, at[1]).labelled(2)
    return mesh + _legs(x, y, clearance, dice.uniform(0.03, 0.08)).labelled(3)


@family("chair", "seat", "back", "legs", "arms")
def chair(dice: Dice) -> Mesh:
    """Build a seat with a back of a panel, slats or bars, on four legs or a pedestal."""
    x, y, height = dice.uniform(0.4, 0.7), dice.uniform(0.4, 0.7), dice.uniform(0.3, 0.7)
    back, radius = dice.uniform(0.35, 0.9), dice.uniform(0.02, 0.05)
    mesh = box(x, y, dice.uniform(0.03, 0.12)).moved(0, 0, height)
    mesh += _chair_back(y, back, dice).tipped(-dice.uniform(0.0, 0.04)).moved(-x / 2, 0, height)
    if dice.chance(0.3):
        mesh += _pedestal(0.45 * x, height, radius).labelled(2)
    else:
        mesh += _legs(x, y, height, radius, dice.uniform(1.0, 1.25)).labelled(2)
    if dice.chance(0.3):
        level = height + dice.uniform(0.15, 0.3)
        for side in (-y / 2, y / 2):
            mesh += bar((-x / 2, side, level), (x / 2, side, level), radius).labelled(3)
            mesh += bar((x / 2, side, height), (x / 2, side, level), radius).labelled(3)
    return mesh


def _chair_back(y: float, height: float, dice: Dice) -> Mesh:
    """Build a chair's back on z = 0, in the plane x = 0."""
    style = dice.choice(("panel", "slats", "bars"))
    if style == "panel":
        gap = dice.uniform(0.0, 0.3) * height
        return box(0.05, y, height - gap).moved(0, 0, gap).labelled(1)
    mesh = box(0.04, 0.05, height).moved(0, -y / 2, 0) + box(0.04, 0.05, height).moved(0, y / 2, 0)
    if style == "slats":
        for k in range(dice.between(2, 4)):
            mesh += box(0.03, y, 0.08).moved(0, 0, height - 0.08 - 0.2 * k * height)
    else:
        mesh += box(0.03, y, 0.08).moved(0, 0, height - 0.08)
        for k in range(1, 5):
            mesh += box(0.02, 0.03, height).moved(0, (k / 5 - 0.5) * y, 0)
    return mesh.labelled(1)


@family("shelf", "sides", "boards", "rear")
def shelf(dice: Dice) -> Mesh:
    """Build two sides and several boards, open in front and often at the rear."""
    x, y, z = dice.uniform(0.5, 1.6), dice.uniform(0.25, 0.6), dice.uniform(0.8, 2.0)
    thick, boards = dice.uniform(0.02, 0.06), dice.between(3, 6)
    side = box(thick, y, z)
    mesh = side.moved(-x / 2, 0, 0) + side.moved(x / 2, 0, 0)
    for k in range(boards):
        mesh += box(x, y, thick).moved(0, 0, k / (boards - 1) * (z - thick)).labelled(1)
    if dice.chance(0.4):
        mesh += box(x, 0.02, z).moved(0, y / 2, 0).labelled(2)
    return mesh


@family("sofa", "seat", "back", "arms", "cushions")
def sofa(dice: Dice) -> Mesh:
    """Build a long seat with a back along it and an arm at each end."""
    x, y, seat = dice.uniform(1.0, 2.2), dice.uniform(0.6, 1.0), dice.uniform(0.25, 0.5)
    back, arm = seat + dice.uniform(0.25, 0.6), seat + dice.uniform(0.12, 0.3)
    thick = dice.uniform(0.12, 0.3)
    mesh = box(x, y, seat)
    mesh += box(x, thick, back).moved(0, y / 2, 0).labelled(1)
    for side in (-x / 2, x / 2):
        mesh += box(thick, y, arm).moved(side, 0, 0).labelled(2)
    seats = dice.between(1, 3)
    room = (x - thick) / seats
    for k in range(seats):
        cushion = box(0.92 * room, 0.8 * y, dice.uniform(0.06, 0.15))
        mesh += cushion.moved((k + 0.5) * room - (x - thick) / 2, -0.1 * y, seat).labelled(3)
    return mesh


@family("stool", "seat", "legs", "footrest")
def stool(dice: Dice) -> Mesh:
    """Build a seat without a back on three or four splayed legs, tied together by a footrest."""
    radius, height = dice.uniform(0.15, 0.3), dice.uniform(0.35, 0.9)
    splay, leg, legs = dice.uniform(1.1, 1.6), dice.uniform(0.015, 0.04), dice.between(3, 4)
    mesh = frustum(radius, radius, dice.uniform(0.03, 0.12)).moved(0, 0, height)
    if dice.chance(0.3):
        mesh = box(1.8 * radius, 1.8 * radius, dice.uniform(0.03, 0.1)).moved(0, 0, height)
    cos, sin = cos_sin([(k + 0.5) / legs for k in range(legs + 1)])
    level = dice.uniform(0.2, 0.55)
    reach = radius * (splay + level * (0.8 - splay))
    for k in range(legs):
        top = (0.8 * radius * cos[k], 0.8 * radius * sin[k], height)
        mesh += bar((splay * radius * cos[k], splay * radius * sin[k], 0.0), top, leg).labelled(1)
        rest = [(reach * cos[i], reach * sin[i], level * height) for i in (k, k + 1)]
        mesh += bar(rest[0], rest[1], 0.8 * leg).labelled(2)
    return mesh


@family("table", "top", "legs")
def table(dice: Dice) -> Mesh:
    """Build a round or square-cornered top on four legs, a pedestal or two end panels."""
    x, y, height = dice.uniform(0.7, 1.8), dice.uniform(0.6, 1.0), dice.uniform(0.4, 1.0)
    radius, thick = dice.uniform(0.02, 0.07), dice.uniform(0.03, 0.1)
    if dice.chance(0.35):
        mesh = frustum(1.0, 1.0, thick).scaled(x / 2, y / 2, 1.0).moved(0, 0, height)
        x, y = 0.7 * x, 0.7 * y
    else:
        mesh = box(x, y, thick).moved(0, 0, height)
    style = dice.choice(("legs", "legs", "pedestal", "panels"))
    if style == "legs":
        legs = _legs(x, y, height, radius)
    elif style == "pedestal":
        legs = _pedestal(0.35 * y, height, radius)
    else:
        panel = box(0.05, 0.9 * y, height)
        legs = panel.moved(-0.4 * x, 0, 0) + panel.moved(0.4 * x, 0, 0)
    return mesh + legs.labelled(1)

"""Families of solids: a name, the names of the parts, and a function that builds one member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pcmamba.data.shapes.dice import Dice
from pcmamba.data.shapes.mesh import Mesh
from pcmamba.registry import Registry

Build = Callable[[Dice], Mesh]


@dataclass(frozen=True)
class Family:
    """One class of the data set.

    Attributes:
        parts: Part names; the meshes label their triangles by position in this tuple.
        build: Makes a member upright (z up), of any size, with chosen proportions.
    """

    parts: tuple[str, ...]
    build: Build


FAMILIES: Registry[Family] = Registry("family of shapes")


def family(name: str, *parts: str) -> Callable[[Build], Build]:
    """Return a decorator that registers a builder as the family `name` with `parts`."""

    def decorate(build: Build) -> Build:
        FAMILIES.register(name)(Family(parts, build))
        return build

    return decorate

"""Parametric solids behind the synthetic data set `shapes`."""

from __future__ import annotations

from pcmamba.data.shapes import furniture, structures, vessels
from pcmamba.data.shapes.dice import Dice
from pcmamba.data.shapes.family import FAMILIES, Family
from pcmamba.data.shapes.mesh import Mesh
from pcmamba.data.shapes.scan import Defects, Scan, scan

__all__ = [
    "FAMILIES",
    "Defects",
    "Dice",
    "Family",
    "Mesh",
    "Scan",
    "furniture",
    "scan",
    "structures",
    "vessels",
]

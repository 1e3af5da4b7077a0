"""Values of many rows on one logarithmic axis, as places that a page's template turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pcmamba.viz.line_chart import Tick


@dataclass(frozen=True)
class Value:
    """A positive value of a row: which kind of mark shows it, and what it says."""

    kind: str
    value: float
    text: str


@dataclass(frozen=True)
class Row:
    """A row: its name, its values, a remark at its end, and whether that is good news."""

    name: str
    values: tuple[Value, ...]
    remark: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Mark:
    """A value in the drawing: its kind, its place in pixels, and what it says."""

    kind: str
    x: float
    text: str


@dataclass(frozen=True)
class DotRow:
    """A row in the drawing: its name, its place, its marks, and a remark."""

    name: str
    y: float
    marks: tuple[Mark, ...]
    remark: str
    good: bool | None


@dataclass(frozen=True)
class DotChart:
    """Rows under one title, laid out.

    Attributes:
        title: What the rows have in common.
        width: Pixels of the drawing.
        height: Pixels of the drawing.
        left: Where the axis begins, in pixels.
        right: Where it ends.
        ticks: Powers of ten.
        rows: From top to bottom.
    """

    title: str
    width: int
    height: int
    left: int
    right: int
    ticks: tuple[Tick, ...]
    rows: tuple[DotRow, ...]


WIDTH, LEFT, RIGHT = 1100, 250, 790
MARGIN = 0.08  # of a power of ten, beyond the smallest and the largest value
ROW, HEAD = 24, 22


def dot_charts(groups: Sequence[tuple[str, Sequence[Row]]], unit: str) -> list[DotChart]:
    """Lay groups of rows out on one axis, so that places compare between them.

    Args:
        groups: Titles and rows.
        unit: Of the values, for the ticks.

    Raises:
        ValueError: A value is not positive.
    """
    values = [v.value for _, rows in groups for row in rows for v in row.values]
    if any(value <= 0 for value in values):
        raise ValueError(f"values must be positive on a logarithmic axis, got {min(values)}")
    first = math.log10(min(values, default=1.0)) - MARGIN
    last = math.log10(max(values, default=1.0)) + MARGIN

    def place(value: float) -> float:
        return round(LEFT + (math.log10(value) - first) / (last - first) * (RIGHT - LEFT), 1)

    powers = range(math.ceil(first), math.floor(last) + 1)
    ticks = tuple(Tick(place(10.0**power), f"{10.0**power:g} {unit}") for power in powers)
    return [
        DotChart(
            *(title, WIDTH, HEAD + ROW * len(rows) + 6, LEFT, RIGHT, ticks),
            rows=tuple(
                DotRow(
                    row.name,
                    HEAD + ROW * (number + 0.5),
                    tuple(Mark(v.kind, place(v.value), v.text) for v in row.values),
                    *(row.remark, row.good),
                )
                for number, row in enumerate(rows)
            ),
        )
        for title, rows in groups
    ]

"""Lines over a number, as places in a drawing that a page's template turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 36


@dataclass(frozen=True)
class Line:
    """A named line: points (x, y), finite, in rising x."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in pixels, and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A value in the drawing: where, in pixels, and what it says."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class LineChart:
    """Lines with their axes, laid out.

    Attributes:
        title: What the values are.
        x_title: What they stand over.
        width: Pixels of the drawing.
        height: Pixels of the drawing.
        left: Where the x axis begins, in pixels.
        right: Where it ends.
        top: Where the y axis ends.
        bottom: Where it begins.
        x_ticks: Marks under the lines.
        y_ticks: Marks beside them.
        names: Name of each line.
        dots: Values of each line.
    """

    title: str
    x_title: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    names: tuple[str, ...]
    dots: tuple[tuple[Dot, ...], ...]


def line_chart(
    title: str, lines: Sequence[Line], *, x_title: str = "epoch", percent: bool = False
) -> LineChart | None:
    """Lay lines out; lines without points are left out.

    Args:
        title: Above the drawing.
        lines: What to draw.
        x_title: Under the drawing.
        percent: The values are shares, to be written in percent.

    Returns:
        The drawing, or None if no line has a point.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return None
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    whole = all(x == int(x) for x in xs)
    x_marks = [
        x
        for x in nice_ticks(min(xs), max(xs), 7)
        if min(xs) <= x <= max(xs) and not (whole and x % 1)
    ]
    y_marks = nice_ticks(min(ys), max(ys), 5)
    x_range = (min(xs), max(xs))
    y_range = (min(y_marks[0], *ys), max(y_marks[-1], *ys))

    def x_place(x: float) -> float:
        return _scale(x, x_range, LEFT, WIDTH - RIGHT)

    def y_place(y: float) -> float:
        return _scale(y, y_range, HEIGHT - BOTTOM, TOP)

    def text(y: float) -> str:
        return f"{100 * y:.3g} %" if percent else f"{y:.3g}"

    return LineChart(
        title,
        x_title,
        *(WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM),
        x_ticks=tuple(Tick(x_place(x), f"{x:g}") for x in x_marks),
        y_ticks=tuple(Tick(y_place(y), text(y)) for y in y_marks),
        names=tuple(line.name for line in drawn),
        dots=tuple(
            tuple(
                Dot(x_place(x), y_place(y), f"{line.name}, {x_title} {x:g}: {text(y)}")
                for x, y in line.points
            )
            for line in drawn
        ),
    )


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers, 1, 2 or 5 times a power of ten apart, that enclose [low, high]."""
    if high == low:
        spread = abs(low) or 1.0
        low, high = low - spread / 2, high + spread / 2
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _scale(value: float, span: tuple[float, float], start: float, end: float) -> float:
    share = (value - span[0]) / ((span[1] - span[0]) or 1.0)
    return round(start + share * (end - start), 1)

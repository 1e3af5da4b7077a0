"""A cloud coloured by one thing that is known of it: what every picture and viewer draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pcmamba.ops.serialize import serialize
from pcmamba.registry import unknown_name
from pcmamba.viz.palette import (
    RAMPS,
    RIGHT,
    UNLABELLED,
    WRONG,
    Bytes,
    by_label,
    by_value,
    label_table,
)
from pcmamba.viz.sample import Sample

MODES = ("class", "part", "height", "error", "confidence", "sequence", "color")

# Cells of a Hilbert or Z curve need not hold more than a point; a snake of slabs so thin that each
# holds one would jump from side to side.
FINE_DEPTH, COARSE_DEPTH = 10, 5


@dataclass(frozen=True, eq=False)
class Legend:
    """Names with their colours, or a ramp from `low` to `high`; the title says of what."""

    title: str
    names: tuple[str, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()
    ramp: str | None = None
    low: str = ""
    high: str = ""


@dataclass(frozen=True, eq=False)
class Panel:
    """One coloured cloud.

    Attributes:
        points: (N, 3) float32, z up.
        colors: (N, 3) uint8.
        line: (N,) int64 points in the order in which a line goes through them, or None.
        caption: Shown above it where there are several.
    """

    points: np.ndarray
    colors: Bytes
    line: NDArray[np.int64] | None = None
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """One or two panels seen from the same place, with a title and a legend.

    Attributes:
        panels: Truth and prediction side by side, or one.
        legend: What the colours mean, or None.
        title: Above all.
        note: Below, small.
        mode: What the colours show, one of `MODES`.
        up_axis: The axis that points up; always z, files were turned before.
    """

    panels: tuple[Panel, ...]
    legend: Legend | None
    title: str
    note: str
    mode: str
    up_axis: str = "z"


def modes_of(sample: Sample) -> tuple[str, ...]:
    """Return the colourings that the sample has what it takes for."""
    by_points = sample.labels is not None and sample.predicted_labels is not None
    by_class = sample.class_name is not None and sample.predicted_class is not None
    labelled = sample.labels is not None or sample.predicted_labels is not None
    has = {
        "class": labelled or sample.class_name is not None or sample.predicted_class is not None,
        "part": labelled,
        "height": True,
        "error": by_points or by_class,
        "confidence": sample.confidence is not None,
        "sequence": True,
        "color": sample.colors is not None,
    }
    return tuple(mode for mode in MODES if has[mode])


def default_mode(sample: Sample) -> str:
    """Return the colouring that says most: parts, else the file's colours, else height."""
    return next(mode for mode in ("part", "color", "height") if mode in modes_of(sample))


def make_scene(
    sample: Sample,
    mode: str = "auto",
    *,
    order: str = "hilbert",
    depth: int | None = None,
    line: bool = True,
    palette: str = "auto",
) -> Scene:
    """Colour a sample.

    Args:
        sample: What is known.
        mode: One of `MODES`, or "auto".
        order: For "sequence": the order of the points.
        depth: For "sequence": bits of the grid, 1 to 20; None: 10 for Hilbert and Z curves, else 5.
        line: For "sequence": draw the line through the points.
        palette: "auto" takes published colours where there are some, "safe" never.

    Raises:
        ValueError: An unknown mode or order, or one that the sample has nothing for.
    """
    mode = default_mode(sample) if mode == "auto" else mode
    if mode not in MODES:
        raise ValueError(unknown_name("color", mode, MODES))
    if mode not in modes_of(sample):
        raise ValueError(
            f"color must be one of {', '.join(modes_of(sample))} for {sample.title or 'this cloud'}"
            f", got {mode!r}, which needs {_NEEDS[mode]}"
        )
    note = "; ".join(sample.notes)
    if mode == "sequence":
        panels, legend = _sequence(sample, order, depth, line)
    elif mode in ("class", "part"):
        panels, legend = _labels(sample, mode, palette)
    else:
        panels, legend = _SINGLE[mode](sample)
    return Scene(panels, legend, _title(sample), note, mode)


_NEEDS = {
    "class": "classes or labels",
    "part": "labels of points",
    "error": "truth and prediction",
    "confidence": "a prediction",
    "color": "colours in the file",
}


def _title(sample: Sample) -> str:
    answer = ""
    if sample.predicted_class is not None:
        sure = f" {sample.confidence:.1%}" if isinstance(sample.confidence, float) else ""
        truth = "" if sample.class_name is None else f", truth {sample.class_name}"
        answer = f"{sample.predicted_class}{sure}{truth}"
    elif sample.class_name is not None:
        answer = sample.class_name
    return "  ·  ".join(part for part in (sample.title, answer) if part)


def sequence_of(points: np.ndarray, order: str, depth: int | None = None) -> NDArray[np.int64]:
    """Return (N,) int64: the points in the order of a curve.

    Raises:
        ValueError: An unknown order, or a depth beyond 1 to 20.
    """
    if depth is None:
        depth = FINE_DEPTH if order.startswith(("hilbert", "z")) else COARSE_DEPTH
    xyz = torch.from_numpy(np.ascontiguousarray(points))[None]
    perm: NDArray[np.int64] = serialize(xyz, order, depth=depth, seed=0).perm[0].numpy()
    return perm


Drawn = tuple[tuple[Panel, ...], Legend | None]


def _sequence(sample: Sample, order: str, depth: int | None, line: bool) -> Drawn:
    perm = sequence_of(sample.points, order, depth)
    place = np.empty(len(perm), np.int64)
    place[perm] = np.arange(len(perm))
    colors = by_value(place, "sequence")
    legend = Legend(f"place along {order}", ramp="sequence", low="first", high="last")
    return (Panel(sample.points, colors, perm if line else None),), legend


def _height(sample: Sample) -> Drawn:
    height = sample.points[:, 2]
    low, high = f"{height.min():.3g}", f"{height.max():.3g}"
    panel = Panel(sample.points, by_value(height, "height"))
    return (panel,), Legend("height", ramp="height", low=low, high=high)


def _confidence(sample: Sample) -> Drawn:
    values = np.broadcast_to(np.asarray(sample.confidence), len(sample))
    panel = Panel(sample.points, by_value(values, "confidence", 0.0, 1.0))
    return (panel,), Legend("confidence", ramp="confidence", low="0", high="1")


def _color(sample: Sample) -> Drawn:
    assert sample.colors is not None
    return (Panel(sample.points, sample.colors),), None


def _error(sample: Sample) -> Drawn:
    if sample.labels is not None and sample.predicted_labels is not None:
        wrong = sample.labels != sample.predicted_labels
    else:
        wrong = np.full(len(sample), sample.class_name != sample.predicted_class)
    colors = np.where(wrong[:, None], WRONG, RIGHT)
    share = f"wrong ({wrong.mean():.1%})"
    legend = Legend("points", ("right", share), (triple(RIGHT[0]), triple(WRONG[0])))
    return (Panel(sample.points, colors),), legend


_SINGLE = {"height": _height, "confidence": _confidence, "color": _color, "error": _error}


def _labels(sample: Sample, mode: str, palette: str) -> Drawn:
    if mode == "class" and (sample.class_name or sample.predicted_class):
        return _classes(sample)
    table = label_table(sample.known_names(), palette)
    sides = {"truth": sample.labels, "prediction": sample.predicted_labels}
    given = {name: side for name, side in sides.items() if side is not None}
    panels = tuple(
        Panel(sample.points, by_label(side, table), caption=name if len(given) > 1 else "")
        for name, side in given.items()
    )
    present = np.unique(np.concatenate(list(given.values()))).tolist()
    names = tuple(sample.name_of(label) for label in present)
    colors = tuple(triple(table[k % len(table)] if k >= 0 else UNLABELLED) for k in present)
    title = sample.label_kind if mode == "part" else mode
    return panels, Legend(title, names, colors)


def _classes(sample: Sample) -> Drawn:
    sides = {"truth": sample.class_name, "prediction": sample.predicted_class}
    given = {name: side for name, side in sides.items() if side is not None}
    known = sample.class_names or tuple(dict.fromkeys(given.values()))
    table = label_table(known)
    number = {name: known.index(side) for name, side in given.items()}
    panels = tuple(
        Panel(
            sample.points,
            by_label(np.full(len(sample), number[name]), table),
            caption=f"{name}: {side}" if len(given) > 1 else "",
        )
        for name, side in given.items()
    )
    shown = sorted(set(number.values()))
    names, colors = tuple(known[k] for k in shown), tuple(triple(table[k]) for k in shown)
    return panels, Legend("class", names, colors)


def triple(color: Sequence[int] | Bytes) -> tuple[int, int, int]:
    """Return a colour of three bytes as plain integers."""
    red, green, blue = (int(channel) for channel in color)
    return red, green, blue


def ramp_colors(legend: Legend, steps: int) -> Bytes:
    """Return the colours (steps, 3) of a legend's ramp from its low to its high end."""
    assert legend.ramp in RAMPS
    return by_value(np.arange(steps), legend.ramp)

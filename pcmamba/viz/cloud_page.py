"""One HTML page that shows clouds and turns them, with everything it needs inside.

An own viewer instead of a charting library: coordinates go in as 16-bit numbers and colours as
bytes, so that a page of a million points stays small and is drawn in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pcmamba.viz.page_data import PageData, fill_template
from pcmamba.viz.palette import by_value
from pcmamba.viz.sample import Sample
from pcmamba.viz.save import replace_file
from pcmamba.viz.scene import Panel, Scene, default_mode, make_scene, modes_of, sequence_of

MOST_POINTS = 1_000_000
MOST_ORDERED = 200_000
MOST_LINE = 100_000  # a line through more is a fog that takes long to draw
ORDERS = ("hilbert", "z", "cts-xyz")
_STEPS = 256


def save_cloud_page(path: Path, samples: Sequence[Sample], **options: Any) -> None:
    """Write a page; options as in `cloud_page`."""
    content = cloud_page(samples, **options)
    replace_file(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def cloud_page(
    samples: Sequence[Sample],
    *,
    color: str = "auto",
    order: str = "hilbert",
    depth: int | None = None,
    line: bool = True,
    palette: str = "auto",
    most_points: int = MOST_POINTS,
) -> str:
    """Return a self-contained page: samples to step through, colourings and orders to choose.

    Above `most_points` over all samples, each is thinned, always to the same points, with a note.
    The line is off at first above 100,000 points.

    Raises:
        ValueError: There is no sample, or a colouring, order or palette is unknown.
    """
    if not samples:
        raise ValueError("samples must hold at least one, got none")
    data = PageData()
    first = make_scene(samples[0], color, order=order, depth=depth, palette=palette)
    entries = [
        _entry(data, sample, order, depth, palette, most_points // len(samples))
        for sample in samples
    ]
    meta = {
        "mode": first.mode,
        "order": order,
        "line": line and entries[0]["count"] <= MOST_LINE,
        "samples": entries,
    }
    return fill_template("cloud_page", first.title or "pcmamba", meta, data)


def thin(sample: Sample, most: int) -> tuple[Sample, np.ndarray | None]:
    """Keep at most so many points, always the same ones, and note it; return their places too."""
    count = len(sample)
    if count <= most:
        return sample, None
    kept = np.sort(np.random.default_rng(0).choice(count, max(most, 1), replace=False))
    changes: dict[str, Any] = {
        name: values[kept]
        for name in ("points", "labels", "predicted_labels", "confidence", "colors")
        if isinstance(values := getattr(sample, name), np.ndarray)
    }
    note = f"shows {len(kept):,} of {count:,} points, drawn at random"
    return replace(sample, notes=(note, *sample.notes), **changes), kept


def _entry(
    data: PageData, sample: Sample, order: str, depth: int | None, palette: str, most: int
) -> dict[str, Any]:
    """Return what the page has to know of one sample; its arrays go to the data."""
    sample, kept = thin(sample, most)
    orders = dict.fromkeys((order, *(ORDERS if len(sample) <= MOST_ORDERED else ())))
    scenes = {
        mode: make_scene(sample, mode, palette=palette)
        for mode in modes_of(sample)
        if mode != "sequence"
    }
    modes = {mode: _mode(data, scene) for mode, scene in scenes.items()}
    ramp = _ramp("sequence")
    modes["sequence"] = {
        "title": "place in the order",
        "table": ramp,
        "ramp": ramp,
        "ends": ["first", "last"],
    }
    any_scene = next(iter(scenes.values()))
    return {
        **_place(data, sample.points),
        "title": any_scene.title,
        "note": any_scene.note,
        "modes": modes,
        "first": default_mode(sample),
        "orders": {
            name: data.add(sequence_of(sample.points, name, depth), "u4") for name in orders
        },
        "ids": None if kept is None else data.add(kept, "u4"),
        "labels": _labels(data, sample),
        "names": list(sample.known_names()),
        "said": _said(sample),
    }


def _place(data: PageData, points: np.ndarray) -> dict[str, Any]:
    """Pack coordinates as 16-bit steps of the longest extent, from the lowest corner."""
    low = points.min(axis=0).astype(np.float64)
    size = points.max(axis=0) - low
    extent = float(size.max()) or 1.0
    packed = np.round((points - low) / extent * 65535)
    return {
        "count": len(points),
        "xyz": data.add(packed, "u2"),
        "middle": (size / extent / 2).tolist(),
    }


def _mode(data: PageData, scene: Scene) -> dict[str, Any]:
    """Return what the page needs to colour by one thing: colours, captions and the legend."""
    said: dict[str, Any] = {"title": "", "table": []}
    said["panels"] = [_colors(data, panel, said["table"]) for panel in scene.panels]
    legend = scene.legend
    if legend is None:
        return said
    said["title"] = legend.title
    if legend.ramp is not None:
        return {**said, "ends": [legend.low, legend.high], "ramp": _ramp(legend.ramp)}
    return {**said, "names": list(zip(legend.names, legend.colors, strict=True))}


def _colors(data: PageData, panel: Panel, table: list[list[int]]) -> dict[str, Any]:
    """Pack colours as a byte each into the table that the panels share, else as three bytes."""
    packed = panel.colors.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, index = np.unique(packed, return_inverse=True)
    if len(table) + len(found) > 256:
        return {"rgb": data.add(panel.colors, "u1"), "caption": panel.caption}
    place = {"index": data.add(index + len(table), "u1"), "caption": panel.caption}
    table += np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).tolist()
    return place


def _ramp(name: str) -> list[list[int]]:
    return by_value(np.arange(_STEPS), name).tolist()


def _labels(data: PageData, sample: Sample) -> dict[str, list[Any]]:
    given = {"label": sample.labels, "predicted": sample.predicted_labels}
    return {word: data.add(values, "i4") for word, values in given.items() if values is not None}


def _said(sample: Sample) -> list[str]:
    """Return what holds for all points, for the text at a picked one."""
    words = {"class": sample.class_name, "predicted class": sample.predicted_class}
    said = [f"{word} {value}" for word, value in words.items() if value is not None]
    if isinstance(sample.confidence, float):
        said.append(f"confidence {sample.confidence:.1%}")
    return said

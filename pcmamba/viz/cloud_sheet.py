"""A sheet of small pictures of clouds: one row a class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pcmamba.data.structures import CloudSet
from pcmamba.viz.canvas import INK, text_font
from pcmamba.viz.palette import by_height, by_label
from pcmamba.viz.render import render
from pcmamba.viz.save import replace_file
from pcmamba.viz.scene import Panel

_MOST_POINTS = 2048
_SIZE = 220
_TEXT = 15


def save_cloud_sheet(
    path: str | os.PathLike[str], cloud_set: CloudSet, *, per_class: int = 4, most_classes: int = 20
) -> None:
    """Draw the first clouds of each class, coloured by part or, without parts, by height.

    Args:
        path: The PNG to write; its folder is made.
        cloud_set: The clouds, z up.
        per_class: Pictures in a row.
        most_classes: Rows; classes beyond are left out.

    Raises:
        ValueError: A number is below 1.
        ImportError: matplotlib is missing.
    """
    if per_class < 1 or most_classes < 1:
        raise ValueError(f"per_class and most_classes must be at least 1, got {per_class}")
    font = text_font(_TEXT)
    from PIL import Image, ImageDraw

    labels = cloud_set.labels.numpy()
    present = [k for k in range(len(cloud_set.class_names)) if (labels == k).any()][:most_classes]
    step = _SIZE + 2 * _TEXT
    sheet = Image.new("RGB", (_SIZE * per_class, step * len(present)), "white")
    for row, label in enumerate(present):
        place = (_TEXT // 2, row * step + _TEXT // 2)
        ImageDraw.Draw(sheet).text(place, cloud_set.class_names[label], fill=INK, font=font)
        for column, index in enumerate(np.flatnonzero(labels == label)[:per_class]):
            picture = Image.fromarray(render(_panel(cloud_set, int(index)), _SIZE))
            sheet.paste(picture, (column * _SIZE, row * step + 2 * _TEXT))
    replace_file(Path(path), lambda temporary: sheet.save(temporary, format="PNG"))


def _panel(cloud_set: CloudSet, index: int) -> Panel:
    step = -(-cloud_set.points.shape[1] // _MOST_POINTS)
    xyz = cloud_set.points[index, ::step].numpy()
    if cloud_set.part_labels is None:
        return Panel(xyz, by_height(xyz[:, 2]))
    return Panel(xyz, by_label(cloud_set.part_labels[index, ::step].numpy()))

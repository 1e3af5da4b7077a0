"""A sheet of small pictures of clouds: one row a class."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pcmamba.data.structures import CloudSet
from pcmamba.viz.cloud_picture import by_height, by_label, project, shade
from pcmamba.viz.figure import new_figure, save_figure

_MOST_POINTS = 2048
_INCHES = 1.6


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
    labels = cloud_set.labels.numpy()
    present = [k for k in range(len(cloud_set.class_names)) if (labels == k).any()][:most_classes]
    figure = new_figure(_INCHES * per_class, _INCHES * len(present))
    for row, label in enumerate(present):
        for column, index in enumerate(np.flatnonzero(labels == label)[:per_class]):
            place = (column / per_class, 1 - (row + 1) / len(present))
            size = (1 / per_class, 0.9 / len(present))
            axes = figure.add_axes((*place, *size))
            _draw(axes, cloud_set, int(index))
            if column == 0:
                axes.set_title(cloud_set.class_names[label], fontsize=7, loc="left", pad=1)
    save_figure(figure, path)


def _draw(axes: Any, cloud_set: CloudSet, index: int) -> None:
    step = -(-cloud_set.points.shape[1] // _MOST_POINTS)
    xyz = cloud_set.points[index, ::step].numpy().astype(np.float64)
    parts = None if cloud_set.part_labels is None else cloud_set.part_labels[index, ::step].numpy()
    base = by_height(xyz[:, 2]) if parts is None else by_label(parts)
    right, up, depth = project(xyz, xyz).T
    order = np.argsort(depth, kind="stable")
    colors = shade(base, xyz, depth)[order]
    axes.scatter(right[order], up[order], s=1.5, c=colors, linewidths=0)
    axes.set_aspect("equal")
    axes.set_axis_off()

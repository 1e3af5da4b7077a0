"""A sample of a labelled set as a small picture, to be put into a page."""

from __future__ import annotations

import io

import numpy as np

from pcmamba.data.structures import CloudSet
from pcmamba.viz.cloud_picture import by_height, project, shade
from pcmamba.viz.figure import new_figure

INCHES, DOTS_PER_INCH = 2.0, 150


def sample_png(cloud_set: CloudSet, index: int, num_points: int) -> bytes:
    """Draw the first points of a cloud, coloured by height, as a square PNG without a frame.

    Args:
        cloud_set: The clouds, z up.
        index: Which one.
        num_points: Most points drawn.

    Raises:
        ImportError: matplotlib is missing.
    """
    xyz = cloud_set.points[index, :num_points].numpy().astype(np.float64)
    figure = new_figure(INCHES, INCHES)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    right, up, depth = project(xyz, xyz).T
    order = np.argsort(depth, kind="stable")
    colors = shade(by_height(xyz[:, 2]), xyz, depth)[order]
    size = float(np.clip(6000.0 / len(xyz), 1.0, 14.0))
    axes.scatter(right[order], up[order], s=size, c=colors, linewidths=0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.margins(0.08)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()

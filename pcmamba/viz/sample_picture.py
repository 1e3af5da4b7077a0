"""A sample of a labelled set as a small picture, to be put into a page."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.event_set import EventSet
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.viz.cloud_picture import by_height, project, shade
from pcmamba.viz.event_picture import event_parts
from pcmamba.viz.figure import new_figure

INCHES, DOTS_PER_INCH = 2.0, 150


def sample_png(labelled_set: LabelledSet, index: int, num_points: int | None = None) -> bytes:
    """Draw a sample as a PNG: a cloud by height, a recording by the polarity of its events.

    Args:
        labelled_set: Clouds, z up, or recordings.
        index: Which one.
        num_points: Most points of a cloud, the first ones; None: all.

    Raises:
        ImportError: matplotlib is missing.
    """
    if isinstance(labelled_set, EventSet):
        return _encode(event_parts(labelled_set.recording(index)))
    return _cloud(labelled_set.points[index, :num_points].cpu().numpy().astype(np.float64))


def _cloud(xyz: NDArray[np.float64]) -> bytes:
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


def _encode(rgb: NDArray[np.uint8]) -> bytes:
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'pcmamba[viz]'") from error
    content = io.BytesIO()
    imsave(content, rgb, format="png")
    return content.getvalue()

"""A sample of a labelled set as a small picture, to be put into a page."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.structures import CloudSet
from pcmamba.viz.event_picture import event_parts
from pcmamba.viz.palette import by_height
from pcmamba.viz.render import render
from pcmamba.viz.scene import Panel

SIZE = 300


def sample_png(labelled_set: LabelledSet, index: int, num_points: int | None = None) -> bytes:
    """Draw a sample as a PNG: a cloud by height, a recording by the polarity of its events.

    Args:
        labelled_set: Clouds, z up, or recordings.
        index: Which one.
        num_points: Most points of a cloud, the first ones; None: all.

    Raises:
        ImportError: matplotlib is missing.
    """
    if not isinstance(labelled_set, CloudSet):
        return _encode(event_parts(labelled_set.recording(index)))
    xyz = labelled_set.points[index, :num_points].cpu().numpy()
    return _encode(render(Panel(xyz, by_height(xyz[:, 2])), SIZE))


def _encode(rgb: NDArray[np.uint8]) -> bytes:
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'pcmamba[viz]'") from error
    content = io.BytesIO()
    imsave(content, rgb, format="png")
    return content.getvalue()

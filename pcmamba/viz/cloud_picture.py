"""A cloud as a picture, from its coordinates alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.viz.palette import Bytes, by_height, by_label
from pcmamba.viz.save import save_png
from pcmamba.viz.scene import Panel, Scene

SIZE = 800


def save_cloud_png(
    path: str | os.PathLike[str],
    points: ArrayLike,
    *,
    colors: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    title: str | None = None,
    up_axis: str = "z",
    size: int = SIZE,
) -> None:
    """Draw a cloud with equal scales on all axes; by height, or by colours or labels given.

    Args:
        path: The PNG to write; its folder is made.
        points: (N, 3), any unit.
        colors: (N, 3), 0 to 1, or 0 to 255 as uint8.
        labels: (N,) integers, drawn in up to 20 colours.
        title: Text above.
        up_axis: x, y or z.
        size: Pixels of the longer edge, without the title.

    Raises:
        ValueError: A shape or axis does not fit, a number is not finite, or both colours and
            labels are given.
        ImportError: matplotlib is missing.
    """
    xyz = _checked(points, up_axis)
    if colors is not None and labels is not None:
        raise ValueError("colors and labels must not both be given")
    base = by_height(xyz[:, 2])
    if colors is not None:
        base = _rgb(colors)
    elif labels is not None:
        base = by_label(labels)
    if base.shape != xyz.shape:
        raise ValueError(f"colors or labels must fit the {len(xyz)} points, got {len(base)}")
    save_png(Path(path), Scene((Panel(xyz, base),), None, title or "", "", "color"), size)


def _checked(points: ArrayLike, up_axis: str) -> np.ndarray:
    xyz = np.asarray(points, dtype=np.float64)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or len(xyz) == 0:
        raise ValueError(f"points must be (N, 3) with N >= 1, got {xyz.shape}")
    if not np.isfinite(xyz).all():
        raise ValueError("points must be finite, got NaN or infinity")
    check_up_axis(up_axis)
    return to_z_up(xyz, up_axis)


def _rgb(colors: ArrayLike) -> Bytes:
    given = np.asarray(colors)
    if given.dtype == np.uint8:
        return given
    return np.clip(given.astype(np.float64) * 255.0, 0, 255).round().astype(np.uint8)

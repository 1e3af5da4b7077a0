"""A cloud as a picture: shaded points and their shadow, seen from above and aside."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from pcmamba.viz.figure import new_figure, save_figure

MOST_DRAWN = 60_000
AZIMUTH, ELEVATION = np.radians(-55.0), np.radians(22.0)
LIGHT = np.array([0.35, -0.55, 0.76])
# Axes to look at, in the order that brings the named one to z, never a mirror.
TO_Z = {"z": (0, 1, 2), "y": (2, 0, 1), "x": (1, 2, 0)}

Floats = NDArray[np.float64]


def save_cloud_png(
    path: str | os.PathLike[str],
    points: ArrayLike,
    *,
    colors: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    title: str | None = None,
    up_axis: str = "z",
) -> None:
    """Draw a cloud with equal scales on all axes; by height, or by colours or labels given.

    Clouds above 60,000 points are thinned, always to the same points.

    Args:
        path: The PNG to write; its folder is made.
        points: (N, 3), any unit.
        colors: (N, 3), 0 to 1, or 0 to 255 as uint8.
        labels: (N,) integers, drawn in up to 20 colours.
        title: Text above.
        up_axis: x, y or z.

    Raises:
        ValueError: A shape or axis does not fit, a number is not finite, or both colours and
            labels are given.
        ImportError: matplotlib is missing.
    """
    xyz, base = _inputs(points, colors, labels, up_axis)
    if len(xyz) > MOST_DRAWN:
        kept = np.random.default_rng(0).choice(len(xyz), MOST_DRAWN, replace=False)
        xyz, base = xyz[kept], None if base is None else base[kept]
    figure = new_figure(6.4, 6.4)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.93))
    right, up, depth = project(xyz, xyz).T
    base = by_height(xyz[:, 2]) if base is None else base
    shaded = shade(base, xyz, depth)
    order = np.argsort(depth, kind="stable")
    near = (depth - depth.min()) / (np.ptp(depth) or 1.0)
    size = _point_size(len(xyz)) * (0.6 + 0.8 * near)
    ground = np.column_stack([xyz[:, :2], np.full(len(xyz), xyz[:, 2].min())])
    below, haze = project(ground, xyz), float(np.clip(18.0 / len(xyz), 0.004, 0.05))
    axes.scatter(below[:, 0], below[:, 1], s=3 * size, c="#000000", alpha=haze, linewidths=0)
    axes.scatter(right[order], up[order], s=size[order], c=shaded[order], linewidths=0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.margins(0.06)
    if title:
        figure.suptitle(title, fontsize=13, color="#222222", y=0.97)
    save_figure(figure, path)


def _inputs(
    points: ArrayLike, colors: ArrayLike | None, labels: ArrayLike | None, up_axis: str
) -> tuple[Floats, Floats | None]:
    xyz = np.asarray(points, dtype=np.float64)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or len(xyz) == 0:
        raise ValueError(f"points must be (N, 3) with N >= 1, got {xyz.shape}")
    if not np.isfinite(xyz).all():
        raise ValueError("points must be finite, got NaN or infinity")
    if up_axis not in TO_Z:
        raise ValueError(f"up_axis must be x, y or z, got {up_axis!r}")
    if colors is not None and labels is not None:
        raise ValueError("colors and labels must not both be given")
    base = None
    if colors is not None or labels is not None:
        base = _rgb(colors) if colors is not None else by_label(np.asarray(labels))
    if base is not None and base.shape != xyz.shape:
        raise ValueError(f"colors or labels must fit the {len(xyz)} points, got {len(base)}")
    return xyz[:, list(TO_Z[up_axis])], base


def _rgb(colors: ArrayLike) -> Floats:
    given = np.asarray(colors)
    return given / 255.0 if given.dtype == np.uint8 else given.astype(np.float64)


def by_label(labels: ArrayLike) -> Floats:
    """Return colours (N, 3) of labels (N,), 20 different ones."""
    palette: Any = _colormap("tab20")
    return np.asarray(palette(np.asarray(labels) % 20))[:, :3]


def by_height(height: Floats) -> Floats:
    """Return colours (N, 3) of heights (N,)."""
    span = np.ptp(height) or 1.0
    # The ends of the map are too dark or too bright to show shading.
    return np.asarray(_colormap("viridis")(0.12 + 0.76 * (height - height.min()) / span))[:, :3]


def _colormap(name: str) -> Any:
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'pcmamba[viz]'") from error
    return colormaps[name]


def project(xyz: Floats, cloud: Floats) -> Floats:
    """Return (right, up, towards the viewer) as seen from the mean of `cloud`, z upright."""
    ca, sa, ce, se = np.cos(AZIMUTH), np.sin(AZIMUTH), np.cos(ELEVATION), np.sin(ELEVATION)
    view = np.array([[-sa, ca, 0.0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]])
    return np.asarray((xyz - cloud.mean(axis=0)) @ view.T)


def shade(base: Floats, xyz: Floats, depth: Floats) -> Floats:
    """Darken what is turned away from the light; fade what is far towards white."""
    light = 0.55 + 0.45 * np.abs(_normals(xyz) @ LIGHT)[:, None]
    near = (depth - depth.min()) / (np.ptp(depth) or 1.0)
    haze = 0.5 * (1.0 - near)[:, None]
    return np.asarray(np.clip(base * light * (1.0 - haze) + haze, 0.0, 1.0))


def _normals(xyz: Floats, neighbours: int = 12) -> Floats:
    """Estimate unsigned unit normals: the direction in which the neighbours spread least."""
    k = min(neighbours, len(xyz))
    _, index = cKDTree(xyz).query(xyz, k=k)
    around = xyz[index.reshape(len(xyz), k)]
    spread = around - around.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(spread.transpose(0, 2, 1) @ spread)
    return np.asarray(vectors[:, :, 0])


def _point_size(count: int) -> float:
    return float(np.clip(48_000.0 / count, 1.5, 60.0))

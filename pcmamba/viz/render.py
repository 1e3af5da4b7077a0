"""A panel of a scene as an array of pixels: points, the line through them, a shadow below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcmamba.viz.camera import Camera, Floats, Frame, fit
from pcmamba.viz.palette import Bytes
from pcmamba.viz.scene import Panel
from pcmamba.viz.splat import Splats, draw, outline, shadow

OVERSAMPLING = 2
MOST_LINE_PIXELS = 4_000_000


def render(
    panel: Panel,
    size: int = 900,
    camera: Camera | None = None,
    *,
    frame: Frame | None = None,
    point_size: float | None = None,
) -> Bytes:
    """Draw a panel as a square (size, size, 3) on white.

    Inside a disc, pixels have exactly the point's colour; edges are mixed over the oversampling,
    and what lies close behind something nearer is darkened.

    Args:
        panel: Any number of points.
        size: Pixels an edge.
        camera: From where; None: aside and above.
        frame: What is shown, in pixels of this size; None: all of the points.
        point_size: Diameter of a point in pixels; None: by the points' number.
    """
    camera = camera or Camera()
    fine = size * OVERSAMPLING
    centre = panel.points.mean(axis=0, dtype=np.float64)
    projected = camera.project(panel.points, centre)
    given = frame or fit(projected, size)
    shown = Frame(given.centre, given.scale * OVERSAMPLING, fine)
    radius = (point_size or default_point_size(len(projected), size, panel.line is not None)) / 2
    splats = [Splats(*shown.pixels(projected), panel.colors, radius * OVERSAMPLING)]
    if panel.line is not None:
        splats.append(_line(panel, splats[0], size))
    colors, depth = draw(splats, fine)
    light = outline(depth, 2, 0.5 * splats[0].radius, 0.4)
    light *= outline(depth, 2 + fine // 160, fine / 40, 0.3)
    ground = _ground(panel, camera, centre, shown)
    drawn = (depth > -np.inf)[..., None]
    picture = np.where(drawn, colors * light[..., None], 255 * ground[..., None])
    return _shrink(picture.round())


def default_point_size(count: int, size: int, lined: bool) -> float:
    """Return the diameter in pixels at which so many points cover a surface without hiding it."""
    covering = size * (0.5 if lined else 1.1) / np.sqrt(count)
    return float(np.clip(covering, 1.5, size / (60 if lined else 36)))


def _line(panel: Panel, points: Splats, size: int) -> Splats:
    """Turn the line into discs a pixel apart, in colours between those of its ends."""
    assert panel.line is not None
    place = np.column_stack([points.column, points.row, points.depth])[panel.line]
    colors = panel.colors[panel.line].astype(np.float64)
    steps = np.ceil(np.abs(np.diff(place[:, :2], axis=0)).max(axis=1, initial=0)).astype(np.int64)
    steps = np.maximum(steps // max(1, int(steps.sum()) // MOST_LINE_PIXELS), 1)
    start = np.repeat(np.arange(len(steps)), steps)
    part = (np.arange(len(start)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[start]
    between = _mix(place, start, part)
    width = float(np.clip(size * 0.2 / np.sqrt(len(place)), 0.7, 4))
    shades = _mix(colors, start, part).round().astype(np.uint8)
    column, row, depth = between.T
    return Splats(column, row, depth, shades, width * OVERSAMPLING / 2)


def _mix(values: Floats, start: NDArray[np.int64], part: Floats) -> Floats:
    return np.asarray(values[start] + part[:, None] * (values[start + 1] - values[start]))


def _ground(panel: Panel, camera: Camera, centre: Floats, frame: Frame) -> NDArray[np.float32]:
    low = np.quantile(panel.points[:, 2], 0.01)  # a stray point is no floor
    flat = np.column_stack([panel.points[:, :2], np.full(len(panel.points), low)])
    column, row, _ = frame.pixels(camera.project(flat, centre))
    return shadow(column, row, frame.size)


def _shrink(picture: NDArray[np.floating]) -> Bytes:
    edge = len(picture) // OVERSAMPLING
    cells = picture.reshape(edge, OVERSAMPLING, edge, OVERSAMPLING, 3)
    return cells.mean(axis=(1, 3)).round().astype(np.uint8)

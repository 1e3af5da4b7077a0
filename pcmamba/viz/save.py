"""Write a scene to a file of the kind that its name asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.structures import PointCloud
from pcmamba.data.writers import write_ply
from pcmamba.viz.camera import Camera, Frame, fit
from pcmamba.viz.canvas import compose
from pcmamba.viz.palette import Bytes
from pcmamba.viz.render import render
from pcmamba.viz.sample import Sample
from pcmamba.viz.scene import Scene

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = 900


def draw_scene(
    scene: Scene, size: int = SIZE, camera: Camera | None = None, frame: Frame | None = None
) -> Image:
    """Draw a scene as a picture: all panels from the same place at the same scale.

    With a frame the panels keep its size; without, the white at their edges is cut off.

    Raises:
        ImportError: matplotlib or Pillow is missing.
        ValueError: `size` is below 64.
    """
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels, got {size}")
    camera = camera or Camera()
    if frame is not None:
        return compose(scene, [render(panel, size, camera, frame=frame) for panel in scene.panels])
    points = scene.panels[0].points
    frame = fit(camera.project(points, points.mean(axis=0, dtype=np.float64)), size)
    squares = [render(panel, size, camera, frame=frame) for panel in scene.panels]
    return compose(scene, trim(squares))


def trim(squares: list[Bytes]) -> list[Bytes]:
    """Cut off the white that all pictures have at their edges, down to two fifths of the size."""
    size = len(squares[0])
    inked = np.any([(square < 255).any(axis=2) for square in squares], axis=0)
    rows, columns = (_span(inked.any(axis=axis), size) for axis in (1, 0))
    return [np.ascontiguousarray(square[rows, columns]) for square in squares]


def _span(inked: NDArray[np.bool_], size: int) -> slice:
    places = np.flatnonzero(inked)
    first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, size)
    lacking = max(0, 2 * size // 5 - (last - first))
    margin = size // 30
    return slice(max(0, first - lacking // 2 - margin), min(size, last + lacking // 2 + margin))


def save_png(path: Path, scene: Scene, size: int = SIZE, camera: Camera | None = None) -> None:
    """Write a PNG, whole or not at all."""
    picture = draw_scene(scene, size, camera)
    replace_file(path, lambda temporary: picture.save(temporary, format="PNG"))


def save_ply(path: Path, sample: Sample, scene: Scene) -> None:
    """Write the points with the scene's colours, the labels, and what was predicted.

    Labels are the true ones, else the predicted; with both, the predicted go to the attribute
    `predicted`. The names become comments of the header.
    """
    labels, predicted = sample.labels, sample.predicted_labels
    attributes = {}
    if labels is None:
        labels = predicted
    elif predicted is not None:
        attributes["predicted"] = predicted.astype(np.int32)
    if isinstance(sample.confidence, np.ndarray):
        attributes["confidence"] = sample.confidence.astype(np.float32)
    cloud = PointCloud(
        xyz=np.ascontiguousarray(sample.points, np.float32),
        colors=np.ascontiguousarray(scene.panels[-1].colors),
        labels=labels,
        attributes=attributes,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ply(path, cloud, class_names=sample.known_names() if labels is not None else ())


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file, then put it in place; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def numbered(path: Path, count: int) -> Sequence[Path]:
    """Return a path for each of `count` files: the path itself, or name-1, name-2 and so on."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{k + 1}{path.suffix}") for k in range(count)]

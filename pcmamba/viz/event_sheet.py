"""A sheet of strips: what recordings of each class look like, frame after frame."""

from __future__ import annotations

import os

import numpy as np

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.viz.event_picture import BRIGHTER, DARKER
from pcmamba.viz.figure import new_figure, save_figure

_BORDER = 200  # grey of the lines between frames
_INCHES = 1.1  # width of a frame
_TITLE = 0.2  # inches above a strip
_LEAST_PIXELS = 96  # across a frame: smaller sensors are drawn with larger pixels


def save_event_sheet(
    path: str | os.PathLike[str],
    event_set: EventSet | LazyEventSet,
    *,
    per_class: int = 1,
    frames: int = 8,
    most_classes: int = 20,
) -> None:
    """Draw the first recordings of each class as strips of frames of equal time.

    Args:
        path: The PNG to write; its folder is made.
        event_set: The recordings.
        per_class: Strips of a class.
        frames: Frames of a strip.
        most_classes: Classes beyond are left out.

    Raises:
        ValueError: A number is below 1, or a recording cannot be read.
        ImportError: matplotlib is missing.
    """
    if min(per_class, frames, most_classes) < 1:
        raise ValueError(
            f"per_class, frames and most_classes must be at least 1, got {per_class}, {frames} "
            f"and {most_classes}"
        )
    labels = event_set.labels.cpu().numpy()
    present = [k for k in range(len(event_set.class_names)) if (labels == k).any()][:most_classes]
    chosen = [int(i) for k in present for i in np.flatnonzero(labels == k)[:per_class]]
    height, width = event_set.resolution_hw
    strip = _INCHES * height / width
    figure = new_figure(_INCHES * frames, (strip + _TITLE) * len(chosen))
    share = 1 / len(chosen)
    for row, index in enumerate(chosen):
        size = (1, share * strip / (strip + _TITLE))
        axes = figure.add_axes((0, 1 - (row + 1) * share, *size))
        axes.imshow(draw_strip(event_set.recording(index), frames), interpolation="nearest")
        axes.set_axis_off()
        name = event_set.class_names[int(labels[index])]
        axes.set_title(f"{name}   {event_set.ids[index]}", fontsize=7, loc="left", pad=2)
    save_figure(figure, path)


def draw_strip(events: Events, frames: int) -> np.ndarray:
    """Draw a recording as frames of equal time, side by side, on white.

    Every pixel takes the mixed colour of its events, fuller the more of them there are.

    Returns:
        (H', W', 3) uint8, the frames parted by grey lines; pixels of small sensors are repeated.
    """
    counts = _count(events, frames)  # (frames, 2, H, W)
    total = counts.sum(axis=1)
    typical = float(total[total > 0].mean()) if total.any() else 1.0
    full = 1 - np.exp(-2 * total / typical)
    brighter = counts[:, 1] / np.maximum(total, 1)
    darkest, brightest = DARKER.astype(np.float64), BRIGHTER.astype(np.float64)
    colour = darkest + brighter[..., None] * (brightest - darkest)
    pictures = 255 + full[..., None] * (colour - 255)
    repeat = -(-_LEAST_PIXELS // pictures.shape[2])
    pictures = pictures.repeat(repeat, axis=1).repeat(repeat, axis=2)
    pictures[:, :, -1] = _BORDER
    strip: np.ndarray = np.concatenate(list(pictures.round().astype(np.uint8)), axis=1)
    return strip


def _count(events: Events, frames: int) -> np.ndarray:
    height, width = events.resolution_hw
    start = events.t[0] if len(events) else 0
    frame = (events.t - start) * frames // (events.duration + 1)
    cell = ((frame * 2 + events.p) * height + events.y) * width + events.x
    counts = np.bincount(cell, minlength=frames * 2 * height * width)
    return counts.reshape(frames, 2, height, width)

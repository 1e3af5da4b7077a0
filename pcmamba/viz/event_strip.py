"""A recording as a strip of frames of equal time."""

from __future__ import annotations

import os

from pcmamba.data.events import Events
from pcmamba.viz.event_sheet import draw_strip
from pcmamba.viz.figure import new_figure, save_figure

_INCHES = 1.6  # width of a frame
_TITLE = 0.3  # inches above
_MOST_INCHES = 40.0


def save_event_strip(path: str | os.PathLike[str], events: Events, frames: int = 8) -> None:
    """Draw a recording as frames side by side, blue where it gets brighter, orange where darker.

    Args:
        path: The PNG to write; its folder is made.
        events: The recording, with at least one event.
        frames: How many.

    Raises:
        ValueError: `frames` is below 1, or there are no events.
        ImportError: matplotlib is missing.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    if len(events) == 0:
        raise ValueError("events must hold at least one, got none")
    height, width = events.resolution_hw
    wide = min(_INCHES * frames, _MOST_INCHES)
    strip = wide / frames * height / width
    figure = new_figure(wide, strip + _TITLE)
    axes = figure.add_axes((0, 0, 1, strip / (strip + _TITLE)))
    axes.imshow(draw_strip(events, frames), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    each = events.duration / frames / 1000
    title = f"{events.source}   {len(events):,} events, {each:.3g} ms a frame"
    axes.set_title(title, fontsize=9, loc="left", pad=4)
    save_figure(figure, path)

"""A recording as a cloud: columns to the right, time to the back, rows down from the top."""

from __future__ import annotations

import numpy as np

from pcmamba.data.events import Events
from pcmamba.viz.sample import Sample

LENGTH = 1.6  # of the whole recording, in widths of the sensor's longer side


def sample_of_events(events: Events, title: str = "") -> Sample:
    """Take events as points of a cloud, labelled by polarity.

    Raises:
        ValueError: There are no events.
    """
    if len(events) == 0:
        raise ValueError(f"events must hold at least one, got none in {title or events.source}")
    side = max(events.resolution_hw)
    height = events.resolution_hw[0]
    points = np.stack(
        [
            events.x / side,
            LENGTH * (events.t - events.t[0]) / max(events.duration, 1),
            (height - 1 - events.y) / side,
        ],
        axis=1,
    ).astype(np.float32)
    return Sample(
        points=points,
        title=title or events.source,
        labels=1 - events.p.astype(np.int64),
        label_names=("brighter", "darker"),
        label_kind="polarity",
        notes=(f"time runs to the back, {events.duration / 1e6:.3g} s in all", *events.notes),
    )

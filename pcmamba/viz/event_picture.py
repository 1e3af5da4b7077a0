"""A recording of an event camera as a picture: its parts side by side, by polarity."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from pcmamba.data.events import Events
from pcmamba.viz.palette import LABELS

BRIGHTER, DARKER = LABELS[0], LABELS[5]
PARTS = 4
MOST_PIXELS = 160  # of a part's longer side
GAP, BETWEEN = 4, 228  # pixels between the parts, and their grey


def event_parts(events: Events, parts: int = PARTS) -> NDArray[np.uint8]:
    """Draw a recording's parts with equal numbers of events, in two rows, read as text is.

    Blue where it gets brighter, orange where it gets darker, both mixed where both happen; the
    more events, the stronger, up to three times the mean of the pixels that have any.

    Args:
        events: The recording, with any number of events.
        parts: How many pictures.

    Returns:
        (height, width, 3), on white.
    """
    bounds = np.linspace(0, len(events), parts + 1).astype(int)
    pictures = [_draw(events, int(a), int(b)) for a, b in itertools.pairwise(bounds)]
    columns = -(-parts // 2)
    height, width, _ = pictures[0].shape
    sheet = np.full((2 * height + GAP, columns * (width + GAP) - GAP, 3), BETWEEN, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _draw(events: Events, start: int, end: int) -> NDArray[np.uint8]:
    height, width = events.resolution_hw
    step = -(-max(height, width) // MOST_PIXELS)
    counts = np.zeros((2, -(-height // step), -(-width // step)))
    x, y, p = (column[start:end].astype(np.int64) for column in (events.x, events.y, events.p))
    np.add.at(counts, (p, y // step, x // step), 1.0)
    total = counts.sum(axis=0)
    some = total[total > 0]
    strength = np.clip(total / (3.0 * some.mean() if len(some) else 1.0), 0.0, 1.0) ** 0.5
    share = counts[1] / np.maximum(total, 1.0)
    ink = share[..., None] * BRIGHTER + (1 - share[..., None]) * DARKER
    mixed = 255.0 + strength[..., None] * (ink - 255.0)
    small = np.rint(mixed).astype(np.uint8)
    enlarge = max(MOST_PIXELS // max(small.shape[:2]), 1)
    return small.repeat(enlarge, axis=0).repeat(enlarge, axis=1)

from __future__ import annotations

import numpy as np

from pcmamba.data.events import Events
from pcmamba.viz.event_picture import BRIGHTER, DARKER, GAP, MOST_PIXELS, event_parts


def recording(x, y, p, resolution_hw=(8, 16)):
    columns = [np.array(v, dtype) for v, dtype in ((x, np.int16), (y, np.int16), (p, np.uint8))]
    t = np.arange(len(x), dtype=np.int64)
    return Events(columns[0], columns[1], t, columns[2], resolution_hw)


def tile(sheet, row, column):
    height, width = (sheet.shape[0] - GAP) // 2, (sheet.shape[1] - GAP) // 2
    top, left = row * (height + GAP), column * (width + GAP)
    return sheet[top : top + height, left : left + width]


def test_each_part_shows_its_own_events_in_the_colour_of_their_polarity():
    # Four parts of three events each, at one pixel of its own.
    events = recording([0] * 3 + [5] * 3 + [0] * 6, [0] * 6 + [7] * 6, [1] * 3 + [0] * 3 + [1] * 6)
    sheet = event_parts(events)
    scale = MOST_PIXELS // 16
    first, second, third = tile(sheet, 0, 0), tile(sheet, 0, 1), tile(sheet, 1, 0)
    assert first.shape == (8 * scale, 16 * scale, 3)
    assert (first[scale:] == 255).all()
    assert (second[:, : 5 * scale] == 255).all()
    blue, orange = first[0, 0].astype(int), second[0, 5 * scale].astype(int)
    # The same hue, mixed with white.
    for seen, ink in ((blue, BRIGHTER), (orange, DARKER)):
        shares = (255 - seen) / (255 - ink.astype(int))
        assert np.ptp(shares) < 0.02
        assert shares.min() > 0.5
    assert (third[7 * scale, 0] < 255).any()


def test_large_sensors_are_made_smaller_and_empty_recordings_are_white():
    large = event_parts(recording([639], [479], [1], (480, 640)))
    assert max(large.shape) <= 2 * MOST_PIXELS + GAP
    assert (large < 255).any()
    empty = event_parts(Events.empty((4, 4)))
    assert all((tile(empty, row, column) == 255).all() for row in (0, 1) for column in (0, 1))
    assert (empty < 255).any(), "the parts are told apart"

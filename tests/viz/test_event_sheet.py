from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.datasets import NMnist
from pcmamba.data.events import Events
from pcmamba.viz.event_picture import BRIGHTER, DARKER
from pcmamba.viz.event_sheet import draw_strip, save_event_sheet


def test_a_strip_has_its_events_where_and_when_they_were():
    events = Events.from_arrays([2, 5], [1, 3], [0, 99], [1, 0], (128, 120))
    strip = draw_strip(events, 4)
    assert strip.shape == (128, 480, 3) and strip.dtype == np.uint8
    coloured = (strip != 255).any(axis=2)
    coloured[:, 119::120] = False  # the lines
    assert np.argwhere(coloured).tolist() == [[1, 2], [3, 3 * 120 + 5]]
    first, last = strip[1, 2].astype(int), strip[3, 365].astype(int)
    near = [np.abs(a - np.array(b)).max() for a, b in ((first, BRIGHTER), (last, DARKER))]
    assert max(near) < 40


def test_small_sensors_are_drawn_larger_and_empty_ones_white():
    assert draw_strip(Events.empty((34, 34)), 8).shape == (102, 8 * 102, 3)
    strip = draw_strip(Events.empty((34, 34)), 2)
    assert (np.delete(strip, [101, 203], axis=1) == 255).all()


def test_a_sheet_has_a_strip_for_each_class(tmp_path):
    from matplotlib.image import imread

    made = NMnist.make_fake(str(tmp_path)).load("train")
    for per_class in (1, 2):
        save_event_sheet(tmp_path / f"{per_class}.png", made, per_class=per_class)
    heights = [imread(tmp_path / f"{n}.png").shape[0] for n in (1, 2)]
    assert heights[1] > 1.8 * heights[0]
    with pytest.raises(ValueError, match="must be at least 1, got 0, 8 and 20"):
        save_event_sheet(tmp_path / "no.png", made, per_class=0)

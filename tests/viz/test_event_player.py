"""The player of recordings: the page carries all events and the answers, and nothing else."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from pcmamba.data.events import Events
from pcmamba.viz.event_cloud import LENGTH, sample_of_events
from pcmamba.viz.event_player import Answers, event_player
from pcmamba.viz.event_sheet import draw_strip
from pcmamba.viz.palette import LABELS


def make(size: int = 50) -> Events:
    draw = np.random.default_rng(0)
    columns = draw.integers(0, 6, size), draw.integers(0, 4, size)
    t, p = np.sort(draw.integers(0, 5000, size)), draw.integers(0, 2, size)
    return Events.from_arrays(*columns, t, p, (4, 6), source="rec")


def contents(page: str) -> tuple[dict, bytes]:
    found = dict(re.findall(r'<script type="[^"]*" id="(\w+)">(.*?)</script>', page, re.DOTALL))
    return json.loads(found["meta"]), base64.b64decode(found["data"])


def test_the_page_carries_every_event() -> None:
    events = make()
    meta, data = contents(event_player(events, title="a <b>"))
    for name, (kind, offset, length) in meta["columns"].items():
        values = np.frombuffer(data, f"<{kind}", length, offset)
        assert np.array_equal(values, getattr(events, name))
    assert (meta["resolution"], meta["title"], meta["answers"]) == ([4, 6], "a <b>", None)


def test_many_events_are_thinned_and_it_says_so() -> None:
    meta, _ = contents(event_player(make(50), most_events=20))
    assert meta["columns"]["t"][2] == 17
    assert "one in 3 of 50 events" in meta["notes"][0]


def test_classes_that_ever_win_come_first() -> None:
    names = tuple("abcdefghi")
    rows = np.full((2, 9), 0.05)
    rows[0, 7], rows[1, 2], rows[:, 0] = 0.6, 0.6, 0.3
    answers = Answers((1, 2), names, tuple(map(tuple, rows.tolist())))
    curves = contents(event_player(make(), answers=answers))[0]["answers"]["curves"]
    assert [curve["name"] for curve in curves][:3] == ["h", "c", "a"]
    assert curves[0]["values"] == [0.6, 0.05]


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        event_player(Events.empty((4, 6)))
    late = Events.from_arrays([0, 0], [0, 0], [0, 1 << 32], [0, 1], (4, 6))
    with pytest.raises(ValueError, match="before 4,294 s"):
        event_player(late)


def test_a_cloud_of_events_goes_back_in_time_and_up_from_the_last_row() -> None:
    events = Events.from_arrays([0, 5], [3, 0], [0, 10], [1, 0], (4, 6))
    sample = sample_of_events(events)
    np.testing.assert_allclose(sample.points, [[0, 0, 0], [5 / 6, LENGTH, 0.5]], rtol=1e-6)
    assert [sample.name_of(int(k)) for k in sample.labels] == ["brighter", "darker"]


def test_a_strip_has_the_colours_of_the_palette() -> None:
    events = Events.from_arrays([1] * 60, [1] * 60, range(60), [0] * 30 + [1] * 30, (4, 6))
    strip = draw_strip(events, 2).astype(int)
    for color, part in ((LABELS[5], 0), (LABELS[0], 1)):
        pixel = strip[strip.shape[0] // 4 + 4, part * strip.shape[1] // 2 + 24]
        share = (255 - pixel) / (255 - color.astype(int))
        assert np.ptp(share) < 0.03 and share.mean() > 0.5, "on the way from white to the colour"

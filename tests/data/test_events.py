"""One recording: what it accepts, what it repairs, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data.events import Events

HW = (4, 6)


def columns(**changes: object) -> dict[str, object]:
    return {"x": [0, 5, 2], "y": [0, 3, 1], "t": [10, 20, 20], "p": [0, 1, 1], **changes}


def test_columns_get_their_types_and_start() -> None:
    events = Events.from_arrays(**columns(), resolution_hw=HW)
    assert (events.x.dtype, events.t.dtype, events.p.dtype) == (np.int16, np.int64, np.uint8)
    assert events.t.tolist() == [0, 10, 10]
    assert (events.t0, events.duration, len(events), events.notes) == (10, 10, 3, ())


def test_times_are_sorted_stably_and_it_says_so() -> None:
    events = Events.from_arrays(**columns(t=[20, 10, 10]), resolution_hw=HW)
    assert events.x.tolist() == [5, 2, 0]
    assert "sorted" in events.notes[0]


@pytest.mark.parametrize("p", [[0, 1, 1], [-1, 1, 1], [False, True, True], [0.0, 1.0, 1.0]])
def test_polarities_of_every_kind_are_read_alike(p: list[float]) -> None:
    assert Events.from_arrays(**columns(p=p), resolution_hw=HW).p.tolist() == [0, 1, 1]


def test_the_smallest_sensor_is_taken_and_named() -> None:
    events = Events.from_arrays(**columns())
    assert events.resolution_hw == (4, 6)
    assert "6 x 4" in events.notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": [0, 6, 2]}, "x must be 0 to 5, got 6"),
        ({"y": [0, -1, 2]}, "y must be 0 to 3, got -1"),
        ({"x": [0, 1]}, "one length"),
        ({"x": [0.5, 1, 2]}, "x must be whole numbers, got 0.5"),
        ({"t": [0, np.nan, 2]}, "t must be finite"),
        ({"p": [0, 2, 1]}, "p must be 0 or 1"),
        ({"p": [-1, 0, 1]}, "got all three"),
        ({"t": ["a", "b", "c"]}, "t must be one column of numbers"),
    ],
    ids=lambda value: str(value),
)
def test_nonsense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Events.from_arrays(**columns(**changes), resolution_hw=HW)


def test_a_window_counts_from_its_start() -> None:
    events = Events.from_arrays(**columns(t=[10, 20, 30]), resolution_hw=HW)
    window = events.between(5, 20)
    assert (window.t.tolist(), window.t0, window.x.tolist()) == ([5], 15, [5])
    assert len(events.between(100, 200)) == 0


def test_unsorted_times_are_refused_by_the_plain_form() -> None:
    good = Events.from_arrays(**columns(), resolution_hw=HW)
    with pytest.raises(ValueError, match="must not fall"):
        Events(good.x, good.y, good.t[::-1], good.p, HW)


def test_no_events_are_a_recording_too() -> None:
    empty = Events.empty(HW)
    assert (len(empty), empty.duration) == (0, 0)

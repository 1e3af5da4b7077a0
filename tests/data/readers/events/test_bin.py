"""40-bit events: hand-made bytes, overflow marks, stray and broken content."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import bin_bytes, some_events


def test_bytes_by_hand(tmp_path):
    # x 3, y 7, ON, t 65537; x 4, y 0, OFF, t 65538
    (tmp_path / "a.bin").write_bytes(bytes([3, 7, 0x81, 0, 1, 4, 0, 0x01, 0, 2]))
    events = read_events(tmp_path / "a.bin")
    assert (events.x.tolist(), events.y.tolist()) == ([3, 4], [7, 0])
    assert (events.t.tolist(), events.p.tolist(), events.t0) == ([0, 1], [1, 0], 65537)
    assert events.resolution_hw == (8, 5) and "sensor taken to be 5 x 8" in events.notes


@pytest.mark.parametrize("name", ["a.bin", "a.bs2", "A.BIN"])
def test_columns_come_back(name, tmp_path):
    x, y, t, p = some_events(500, (34, 34))
    (tmp_path / name).write_bytes(bin_bytes(x, y, t, p))
    events = read_events(tmp_path / name, resolution_hw=(34, 34))
    for got, put in zip((events.x, events.y, events.t, events.p), (x, y, t, p), strict=True):
        assert (got == put).all()
    assert events.resolution_hw == (34, 34) and events.notes == ()


def test_a_row_of_240_adds_to_all_later_times(tmp_path):
    x, y, t, p = [1, 0, 2, 0, 0, 3], [5, 240, 6, 240, 240, 7], [8000, 0, 5, 0, 0, 5], [1] * 6
    (tmp_path / "a.bin").write_bytes(bin_bytes(x, y, t, p))
    events = read_events(tmp_path / "a.bin")
    assert events.x.tolist() == [1, 2, 3]
    assert (events.t + events.t0).tolist() == [8000, 8197, 3 * 8192 + 5]
    assert "3 marks of time overflow applied" in events.notes


def test_few_strays_are_left_out_and_many_refused(tmp_path):
    x, y, t, p = some_events(1000, (34, 34))
    x[[3, 500]] = 200
    (tmp_path / "a.bin").write_bytes(bin_bytes(x, y, t, p))
    events = read_events(tmp_path / "a.bin", resolution_hw=(34, 34))
    assert len(events) == 998 and "2 events outside the sensor of 34 x 34 left out" in events.notes
    with pytest.raises(ReadError, match=r"a\.bin: events must be inside the sensor of 20 x 34"):
        read_events(tmp_path / "a.bin", resolution_hw=(34, 20))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"123456", "expected 5 bytes an event, got 6 bytes"),
        (b"", "expected events, got an empty file"),
        (bytes([0, 240, 0, 0, 0]), "expected at least one event"),
        (np.random.default_rng(0).bytes(5000), "expected bin events in order of time"),
        (b"#!AER-DAT2.0\r\nxx", "got the content of a .aedat file"),
    ],
    ids=["cut off", "empty", "marks alone", "noise", "another format"],
)
def test_what_is_no_recording_is_refused(data, said, tmp_path):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.bin")


def test_a_recording_that_is_all_outside_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(bin_bytes([100], [1], [1], [1]))
    with pytest.raises(ReadError, match="got 1 of 1 outside"):
        read_events(tmp_path / "a.bin", resolution_hw=(34, 34))


def test_options_without_meaning_are_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(bin_bytes([1], [1], [1], [1]))
    with pytest.raises(ReadError, match="camera must be None for bin"):
        read_events(tmp_path / "a.bin", camera="dvs128")

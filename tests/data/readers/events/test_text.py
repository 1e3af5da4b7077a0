"""csv and txt: headers, orders, units, a first line of the sensor, what is no row."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import some_events

COLUMNS = dict(zip("xytp", some_events(300, (20, 30)), strict=True))


def rows(order: str, separator: str, scale: float = 1.0) -> str:
    def text(name: str, i: int) -> str:
        value = COLUMNS[name][i]
        return f"{value * scale:.9f}" if name == "t" and scale != 1 else str(value)

    return "".join(separator.join(text(n, i) for n in order) + "\n" for i in range(300))


def assert_same(events):
    for name, column in COLUMNS.items():
        assert (getattr(events, name) == column).all(), name


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("x,y,t,p\n" + rows("xytp", ","), "times taken to be in us"),
        ("t_us;x;y;pol\n" + rows("txyp", ";"), None),
        ("timestamp_ms\tx\ty\tpolarity\n" + rows("txyp", "\t", 1e-3), None),
        ('"time (s)", "x", "y", "on"\n' + rows("txyp", ",", 1e-6), None),
        ("# x y p timestamp[us]\n" + rows("xypt", " "), None),
        ("30 20\n" + rows("txyp", " ", 1e-6), "times taken to be in s"),
        ("% made by hand\n\n" + rows("txyp", " "), "columns read as t x y p, which alone fits"),
        ("\ufeff" + rows("xytp", " ").replace("\n", "\r\n"), "columns read as x y t p"),
    ],
    ids=[
        "header",
        "unit in a name",
        "tabs",
        "unit in brackets",
        "comment",
        "sensor",
        "bare",
        "CRLF",
    ],
)
def test_texts(text, note, tmp_path):
    (tmp_path / "a.txt").write_bytes(text.encode())
    events = read_events(tmp_path / "a.txt")
    assert_same(events)
    told = " ".join(events.notes)
    assert note in told if note else "taken to be in" not in told


def test_the_first_line_tells_the_sensor(tmp_path):
    (tmp_path / "a.txt").write_text("240 180\n" + rows("txyp", " ", 1e-6))
    assert read_events(tmp_path / "a.txt").resolution_hw == (180, 240)


def test_order_and_unit_are_followed(tmp_path):
    text = rows("pytx", ",", 1e-3).replace("\n", ",9\n")
    (tmp_path / "a.csv").write_text(text)
    assert_same(read_events(tmp_path / "a.csv", order="p y t x _", t_unit="ms"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a file\nof words\n", "expected at least one row of numbers"),
        ("# a\n", "expected at least one row of numbers"),
        ("x,y,t\n1,2,3\n", "the header must name x, y, t and p once each"),
        ("x,y,t,p\n1,2,3\n", "the header names 4 columns, got rows of 3"),
        ("1 2 3 1\n1 2 x 1\n", "line 2 must hold numbers, got 'x'"),
        ("1 2 3 1\n1 2 3\n", "line 2 must have 4 columns as before, got 3"),
        ("1 2 0,003 1\n1 2 0,004 0\n", "must have decimal points"),
        ("x y t p\n1 2 nan 1\n", "t must be finite"),
        ("x y t p\n1.5 2 3 1\n", "x must be whole numbers"),
        ("x y t p\n1 2 3 7\n", "p must be 0 or 1"),
        ("x y t p\n99999 2 3 1\n99999 2 4 1\n", "events must be inside the sensor"),
        ("0 0\n1 2 3 1\n", "expected a sensor of 1 to 32768 pixels"),
        ("\0\0\0\0", "zero byte"),
        ("1 2 3 4 5\n", "order must be given for 5 columns"),
    ],
)
def test_what_is_no_recording_is_refused(text, said, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.csv")


def test_binary_garbage_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(np.random.default_rng(0).bytes(3000))
    with pytest.raises(ReadError, match=r"a\.txt: expected UTF-8 text"):
        read_events(tmp_path / "a.txt")

"""dat, EVT 2.0 and EVT 3.0: hand-made words, overflows, vectors, other words."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import (
    dat_bytes,
    evt2_bytes,
    evt3_bytes,
    raw_header,
    some_events,
)

SENSOR = (720, 1280)
HEADER = {encoding: raw_header(encoding, SENSOR) for encoding in ("2.0", "3.0")}


def assert_same(events, columns):
    for name, column in zip("xytp", columns, strict=True):
        assert (getattr(events, name) == column).all(), name


def burst(seed: int) -> tuple[np.ndarray, ...]:
    """Draw events with runs along a row at one time, as a bar that moves gives."""
    x, y, t, p = some_events(400, SENSOR, seed=seed, microseconds=30_000_000)
    for first in (50, 200):
        part = slice(first, first + 40)
        x[part], y[part], t[part], p[part] = 500 + 3 * np.arange(40), 77, t[first], 1
    order = np.argsort(t, kind="stable")
    return x[order], y[order], t[order], p[order]


@pytest.mark.parametrize("kind", [0, 12])
def test_dat_comes_back(kind, tmp_path):
    columns = some_events(300, SENSOR)
    (tmp_path / "a.dat").write_bytes(dat_bytes(*columns, SENSOR, kind=kind))
    events = read_events(tmp_path / "a.dat")
    assert_same(events, columns)
    assert events.resolution_hw == SENSOR and events.notes == ()


def test_dat_times_run_over(tmp_path):
    t = np.array([2**32 - 3, 2**32 + 4])
    (tmp_path / "a.dat").write_bytes(dat_bytes([1, 2], [3, 4], t, [0, 1]))
    events = read_events(tmp_path / "a.dat")
    assert events.t.tolist() == [0, 7] and any("2^32 us" in note for note in events.notes)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("2.0", evt2_bytes), ("3.0", evt3_bytes)], ids=["EVT2", "EVT3"]
)
def test_raw_comes_back(encoding, pack, tmp_path):
    columns = burst(0)
    (tmp_path / "a.raw").write_bytes(HEADER[encoding] + pack(*columns))
    events = read_events(tmp_path / "a.raw")
    assert_same(events, columns)
    assert events.resolution_hw == SENSOR
    turns = ("times ran over 2^24 us 1 times and were carried on",) if encoding == "3.0" else ()
    assert events.notes == turns  # 30 s are more than 24 bits of microseconds


def test_evt2_words_by_hand(tmp_path):
    words = [1 << 28 | 5, 8 << 28 | 2, 1 << 28 | 3 << 22 | 9 << 11 | 4, 10 << 28, 4 << 22 | 8 << 11]
    (tmp_path / "a.raw").write_bytes(HEADER["2.0"] + struct.pack("<5I", *words))
    events = read_events(tmp_path / "a.raw")
    assert (events.t0, events.t.tolist()) == (2 * 64 + 3, [0, 1])
    assert_same(events, ([9, 8], [4, 0], [0, 1], [1, 0]))
    assert "1 words of other kinds left out" in events.notes
    assert "1 events before the first time left out" in events.notes


def test_evt2_times_run_over_34_bits(tmp_path):
    t = np.array([2**34 - 70, 2**34 + 10])
    (tmp_path / "a.raw").write_bytes(HEADER["2.0"] + evt2_bytes([1, 2], [3, 4], t, [0, 1]))
    assert read_events(tmp_path / "a.raw").t.tolist() == [0, 80]


def test_evt3_words_by_hand(tmp_path):
    words = [
        (8, 1), (6, 10), (0, 20), (2, 1 << 11 | 7),  # x 7, y 20, brighter
        (3, 100), (4, 0b100000000001), (5, 0b10), (4, 1),  # darker from 100, 112, 120
        (10, 0), (8, 1), (2, 8),  # a trigger; the same upper half again changes nothing
        (8, 2), (2, 9), (6, 5), (0, 21), (2, 10),  # a new upper half begins at 0
    ]  # fmt: skip
    data = np.array([kind << 12 | value for kind, value in words], "<u2").tobytes()
    (tmp_path / "a.raw").write_bytes(HEADER["3.0"] + data)
    events = read_events(tmp_path / "a.raw")
    assert events.t0 == 4096 + 10
    later = [8192 - 4106, 8197 - 4106]
    x = [7, 100, 111, 113, 120, 8, 9, 10]
    assert_same(events, (x, [20] * 7 + [21], [0] * 6 + later, [1] + [0] * 7))
    assert events.notes == ("1 words of other kinds left out",)


def test_evt3_events_before_row_time_or_base_are_left_out(tmp_path):
    words = [(2, 1), (8, 0), (2, 1), (0, 1), (4, 7), (6, 9), (2, 3)]
    data = np.array([kind << 12 | value for kind, value in words], "<u2").tobytes()
    (tmp_path / "a.raw").write_bytes(HEADER["3.0"] + data)
    events = read_events(tmp_path / "a.raw")
    assert events.x.tolist() == [3] and events.t0 == 9
    assert "5 events before the first time, row or base left out" in events.notes


def test_formats_named_otherwise_are_read(tmp_path):
    header = b"% Date 2024-01-01\n% format EVT3;height=720;width=1280\n"
    (tmp_path / "a.raw").write_bytes(header + evt3_bytes([1], [2], [3], [1]))
    assert read_events(tmp_path / "a.raw").resolution_hw == SENSOR


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.dat", b"no header", "expected header lines that begin with '%'"),
        ("a.dat", b"% Version 2\n\x0c", "expected events of type 0 or 12 and 8 bytes, got None"),
        ("a.dat", b"% Version 2\n\x0e\x08", "got 14 and 8"),
        ("a.dat", dat_bytes([1], [1], [1], [1])[:-1], "expected 8 bytes an event"),
        ("a.dat", dat_bytes([1], [1], [1], [3]), "p must be 0 or 1"),
        ("a.dat", dat_bytes([1], [1], [1], [1], (99999, 5)), "expected a sensor of 1 to 32768"),
        ("a.raw", b"% evt 2.1\n", "the header must name the encoding .* got EVT 2.1"),
        ("a.raw", b"% Date\n", "got none"),
        ("a.raw", HEADER["2.0"] + bytes(6), "expected 4 bytes a word"),
        ("a.raw", HEADER["3.0"] + bytes(5), "expected 2 bytes a word"),
        ("a.raw", HEADER["3.0"] + bytes(6), "expected at least one event"),
        ("a.raw", HEADER["2.0"], "expected at least one event"),
    ],
)
def test_broken_files_are_refused(name, data, said, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / name)


@pytest.mark.parametrize("encoding", ["dat", "evt2", "evt3"])
def test_the_package_expelliarmus_reads_the_same(encoding, tmp_path):
    wizard = pytest.importorskip("expelliarmus").Wizard(encoding=encoding)
    # Up to 4 ms, since it counts each overflow of the lower 12 bits of EVT 3.0 twice.
    x, y, t, p = some_events(300, SENSOR, microseconds=4000)
    data = {
        "dat": dat_bytes(x, y, t, p, SENSOR),
        "evt2": HEADER["2.0"] + evt2_bytes(x, y, t, p),
        "evt3": HEADER["3.0"] + evt3_bytes(x, y, t, p),
    }[encoding]
    path = tmp_path / ("a.dat" if encoding == "dat" else "a.raw")
    path.write_bytes(data)
    wizard.set_file(path)
    theirs, ours = wizard.read(), read_events(path)
    for name in "xytp":
        assert (theirs[name] == getattr(ours, name)).all(), name

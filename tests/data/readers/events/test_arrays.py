"""npy and npz: names, orders told or tested, units, objects."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import some_events

X, Y, T, P = some_events(400, (20, 30))
COLUMNS = dict(zip("xytp", (X, Y, T, P), strict=True))


def assert_same(events):
    for name, column in COLUMNS.items():
        assert (getattr(events, name) == column).all(), name


@pytest.mark.parametrize("order", ["xytp", "xypt", "txyp", "tpxy"])
def test_an_order_that_alone_fits_is_found_and_told(order, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([COLUMNS[name] for name in order], axis=1))
    events = read_events(tmp_path / "a.npy", resolution_hw=(20, 30))
    assert_same(events)
    assert f"columns read as {' '.join(order)}, which alone fits their values" in events.notes


def test_an_order_that_is_given_is_followed(tmp_path):
    table = np.stack([np.arange(400), P, Y, X, T], axis=1)
    np.save(tmp_path / "a.npy", table)
    assert_same(read_events(tmp_path / "a.npy", order="_pyxt", t_unit="us"))
    assert_same(read_events(tmp_path / "a.npy", order=("_", "polarity", "y", "x", "ts")))
    with pytest.raises(ReadError, match="order must be given for 5 columns"):
        read_events(tmp_path / "a.npy")


def test_an_order_that_cannot_be_told_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([X, Y, T[::-1], P], axis=1))
    with pytest.raises(ReadError, match="1 columns could be p and 0 others t"):
        read_events(tmp_path / "a.npy")
    events = read_events(tmp_path / "a.npy", order="xytp")
    assert any("and were sorted" in note for note in events.notes)


@pytest.mark.parametrize(
    "names", ["x y t p", "xs ys ts ps", "x y timestamp polarity", "col row time on"]
)
def test_structured_arrays_and_named_keys(names, tmp_path):
    keys = names.split()
    fields = [(k, c.dtype) for k, c in zip(keys, (X, Y, T, P), strict=True)]
    rows = np.empty(400, fields)
    for key, column in zip(keys, (X, Y, T, P), strict=True):
        rows[key] = column
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", **{key: rows[key] for key in keys})
    np.savez_compressed(tmp_path / "b.npz", events=rows, label=3)
    for name in ("a.npy", "a.npz", "b.npz"):
        assert_same(read_events(tmp_path / name, resolution_hw=(20, 30)))


def test_the_sensor_of_the_archive_is_taken(tmp_path):
    np.savez(tmp_path / "a.npz", **COLUMNS, resolution_hw=(64, 96))
    assert read_events(tmp_path / "a.npz").resolution_hw == (64, 96)
    overruled = read_events(tmp_path / "a.npz", resolution_hw=(20, 30))
    assert overruled.resolution_hw == (20, 30)
    assert "the file tells a sensor of 96 x 64, which was overruled" in overruled.notes
    np.savez(tmp_path / "b.npz", **COLUMNS, resolution_hw=(0, 96))
    with pytest.raises(ReadError, match="expected a sensor of 1 to 32768 pixels"):
        read_events(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("unit", "times"),
    [("s", T / 1e6 + 1e9), ("ms", T / 1e3), ("ns", T * 1000 + 999), ("us", T.astype(float))],
)
def test_units_are_told_or_guessed_by_the_range(unit, times, tmp_path):
    np.savez(tmp_path / "a.npz", **COLUMNS | {"t": times, "p": P * 2 - 1})
    told, guessed = read_events(tmp_path / "a.npz", t_unit=unit), read_events(tmp_path / "a.npz")
    # float64 holds seconds since 1970 to 0.2 us; the first time is taken off all of them.
    assert np.abs(told.t - T).max() <= (1 if unit == "s" else 0) and (told.p == P).all()
    if unit in ("s", "us"):
        assert (guessed.t == told.t).all() and f"times taken to be in {unit}" in guessed.notes


def test_whole_numbers_are_nanoseconds_where_microseconds_would_be_hours(tmp_path):
    np.savez(tmp_path / "a.npz", **COLUMNS | {"t": T * 20_000})
    events = read_events(tmp_path / "a.npz")
    assert (events.t == T * 20).all() and "times taken to be in ns" in events.notes


def test_a_recording_that_lasts_too_long_is_noted(tmp_path):
    np.savez(tmp_path / "a.npz", **COLUMNS)
    notes = read_events(tmp_path / "a.npz", t_unit="s").notes
    assert any("hardly right; see t_unit" in note for note in notes)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X, "y": Y, "t": T}, "got no p among x, y, t"),
        ({"x": X, "xs": X, "y": Y, "t": T, "p": P}, "names must differ, got 'x' and 'xs' for x"),
        ({"x": X, "y": Y, "t": T, "p": P[:3]}, "must have one length"),
        ({"x": X, "y": Y, "t": T, "p": P + 1}, "p must be 0 or 1, or -1 or 1, got 2"),
        ({"x": X + 0.5, "y": Y, "t": T, "p": P}, "x must be whole numbers"),
        ({"x": X, "y": Y, "t": T * np.nan, "p": P}, "t must be finite"),
        ({"x": X, "y": Y, "t": T * 1e300, "p": P}, r"t must be below 2\*\*61"),
        ({"x": X - 20, "y": Y, "t": T, "p": P}, "events must be inside the sensor"),
        ({"x": X.astype(object), "y": Y, "t": T, "p": P}, "got objects"),
        ({"x": X.astype(str), "y": Y, "t": T, "p": P}, "x must"),
        ({"events": np.zeros((4, 9))}, r"expected rows \(E, 4\), got shape \(4, 9\); transpose"),
        ({"events": np.zeros((4, 9, 2))}, r"expected rows \(E, 4\) of numbers"),
        ({"a": X, "b": Y}, "got no x and no y and no t and no p among a, b"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, said, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.npz")


def test_bad_options_and_paths(tmp_path):
    with pytest.raises(ValueError, match="order must name x, y, t and p once each"):
        read_events("a.npy", order="xyt")
    with pytest.raises(ValueError, match="t_unit must be one of ms, ns, s, us, got 'min'"):
        read_events("a.npy", t_unit="min")
    with pytest.raises(ValueError, match="camera must be one of davis240, davis346, dvs128"):
        read_events("a.npy", camera="davis")
    with pytest.raises(FileNotFoundError, match="path must be an existing file"):
        read_events(tmp_path / "a.npy")
    with pytest.raises(ReadError, match="got a folder"):
        read_events(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"abc")
    with pytest.raises(ReadError, match=r"extension must be one of \.aedat.* got '\.mp4'"):
        read_events(tmp_path / "a.mp4")

"""Recordings that are written come back; what a format cannot hold is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pcmamba.data import read_events, write_events
from pcmamba.data.events import Events
from pcmamba.testing.event_files import some_events


def recording(number: int = 10_000) -> Events:
    columns = some_events(number, (180, 240), microseconds=2_000_000)
    return replace(Events.from_arrays(*columns, (200, 256)), t0=1_600_000_000_000_000)


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.hdf5", "a.aedat4", "A.NPZ"])
def test_recordings_come_back(name, tmp_path):
    events = recording()
    (tmp_path / name).write_bytes(b"older")
    write_events(tmp_path / name, events)
    back = read_events(tmp_path / name)
    for column in "xytp":
        assert (getattr(back, column) == getattr(events, column)).all()
        assert getattr(back, column).dtype == getattr(events, column).dtype
    assert (back.resolution_hw, back.t0, back.notes) == (events.resolution_hw, events.t0, ())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bin_comes_back_without_sensor_and_start(tmp_path):
    events = recording()
    write_events(tmp_path / "a.bin", events)
    back = read_events(tmp_path / "a.bin", resolution_hw=(200, 256))
    assert all((getattr(back, c) == getattr(events, c)).all() for c in "xytp")
    assert back.t0 == 0


def test_absolute_times_of_a_part_are_kept(tmp_path):
    part = recording().between(500_000, 900_000)
    write_events(tmp_path / "a.npz", part)
    back = read_events(tmp_path / "a.npz")
    assert (back.t + back.t0 == part.t + part.t0).all() and back.t[0] == 0


def test_what_cannot_be_written_is_refused(tmp_path):
    events = recording(10)
    with pytest.raises(ValueError, match=r"path must end in \.npz, .* got '\.raw'"):
        write_events(tmp_path / "a.raw", events)
    with pytest.raises(ValueError, match="events must be at least one"):
        write_events(tmp_path / "a.npz", Events.empty((2, 2)))
    late = replace(events, t=events.t + (1 << 23))
    with pytest.raises(ValueError, match=r"events must end before 2\*\*23 us for bin"):
        write_events(tmp_path / "a.bin", late)
    wide = replace(events, y=np.full(10, 240, np.int16), resolution_hw=(260, 346))
    with pytest.raises(ValueError, match="within 256 columns and 240 rows for bin"):
        write_events(tmp_path / "a.bin", wide)
    assert not list(tmp_path.iterdir())


def test_the_package_aedat_reads_what_we_write(tmp_path):
    aedat = pytest.importorskip("aedat")
    events = recording()
    write_events(tmp_path / "a.aedat4", events)
    packets = [p["events"] for p in aedat.Decoder(str(tmp_path / "a.aedat4")) if "events" in p]
    theirs = np.concatenate(packets)
    assert (theirs["t"].astype(np.int64) == events.t + events.t0).all()
    assert (theirs["x"] == events.x).all() and (theirs["on"] == events.p).all()

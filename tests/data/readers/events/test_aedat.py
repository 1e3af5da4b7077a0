"""AEDAT 2.0 and 3.1: hand-made bytes, cameras, wrapping times, packets of other types."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.testing.event_files import aedat2_bytes, aedat3_bytes, aedat3_packet, some_events

SENSORS = {"dvs128": (128, 128), "davis240": (180, 240), "davis346": (260, 346)}
HEADER = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"


def assert_same(events, columns):
    for name, column in zip("xytp", columns, strict=True):
        assert (getattr(events, name) == column).all(), name


@pytest.mark.parametrize("camera", list(SENSORS))
def test_the_header_or_the_argument_names_the_camera(camera, tmp_path):
    columns = some_events(300, SENSORS[camera])
    (tmp_path / "a.aedat").write_bytes(aedat2_bytes(*columns, camera))
    (tmp_path / "b.aedat").write_bytes(aedat2_bytes(*columns, camera, name_it=False))
    for events in (
        read_events(tmp_path / "a.aedat"),
        read_events(tmp_path / "b.aedat", camera=camera.upper()),
    ):
        assert_same(events, columns)
        assert events.resolution_hw == SENSORS[camera] and events.notes == ()


def test_addresses_tell_a_camera_that_alone_fits(tmp_path):
    for camera in SENSORS:
        columns = some_events(300, SENSORS[camera])
        (tmp_path / f"{camera}.aedat").write_bytes(aedat2_bytes(*columns, camera, name_it=False))
    for camera in ("dvs128", "davis346"):
        events = read_events(tmp_path / f"{camera}.aedat")
        assert f"camera taken to be {camera} from the addresses" in events.notes
        assert events.resolution_hw == SENSORS[camera]
    with pytest.raises(ReadError, match=r"camera must be given .*the addresses fit both"):
        read_events(tmp_path / "davis240.aedat")


def test_addresses_by_hand(tmp_path):
    # DVS128: row 5, column 3, bit 0 clear: brighter. DAVIS346: raw row 1, raw column 2, bit 11.
    (tmp_path / "a.aedat").write_bytes(HEADER + struct.pack(">II", 5 << 8 | 3 << 1, 7))
    events = read_events(tmp_path / "a.aedat")
    assert (events.x[0], events.y[0], events.p[0], events.t0) == (3, 5, 1, 7)
    word = struct.pack(">II", 1 << 22 | 2 << 12 | 1 << 11, 9)
    (tmp_path / "b.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + word)
    events = read_events(tmp_path / "b.aedat", camera="davis346")
    assert (events.x[0], events.y[0], events.p[0]) == (343, 258, 1)


def test_frames_and_triggers_are_left_out(tmp_path):
    x, y, t, p = some_events(50, (260, 346))
    data = aedat2_bytes(x, y, t, p, "davis346")
    extra = struct.pack(">IIII", 1 << 31 | 5, int(t[-1]), 1 << 10, int(t[-1]))
    (tmp_path / "a.aedat").write_bytes(data + extra)
    events = read_events(tmp_path / "a.aedat")
    assert_same(events, (x, y, t, p))
    assert "2 words of frames, inertial data or triggers left out" in events.notes


def test_times_that_run_over_32_bits_are_carried_on(tmp_path):
    t = np.array([2**32 - 5, 2**32 - 1, 2**32 + 2, 2**32 - 2, 2**32 + 9])  # one event is late
    x = np.arange(5)
    (tmp_path / "a.aedat").write_bytes(aedat2_bytes(x, x, t, [1] * 5, "dvs128"))
    events = read_events(tmp_path / "a.aedat")
    assert events.t.tolist() == [0, 3, 4, 7, 14] and events.t0 == 2**32 - 5
    assert events.x.tolist() == [0, 3, 1, 2, 4]
    assert any("2^32 us" in note for note in events.notes)
    assert "times fell at 1 places and were sorted" in events.notes


def test_the_first_byte_of_an_event_may_be_that_of_a_comment(tmp_path):
    columns = ([3] * 3, [259 - 0x8C] * 3, [10, 10, 11], [0] * 3)  # raw row 0x8C << 22: 0x23......
    data = aedat2_bytes(*columns, "davis346")
    assert data[data.rindex(b"\r\n") + 2 :][0] == ord("#")
    (tmp_path / "a.aedat").write_bytes(data)
    assert_same(read_events(tmp_path / "a.aedat"), (*columns[:2], [0, 0, 1], columns[3]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEADER + bytes(7), "expected 8 bytes an event behind the header, got 7"),
        (HEADER, "expected at least one event"),
        (b"#!AER-DAT1.0\r\n" + bytes(6), "version must be 2.0 or 3.1, got '1.0'"),
        (b"# a comment\n" + bytes(8), "expected a first line '#!AER-DAT"),
        (bytes(16), "expected a first line"),
        (HEADER + np.random.default_rng(0).bytes(8000), "1?,?[0-9]+ words|in order of time|none"),
    ],
    ids=["cut off", "no events", "version", "no version", "zeros", "noise"],
)
def test_what_is_no_aedat_2_is_refused(data, said, tmp_path):
    (tmp_path / "a.aedat").write_bytes(data)
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.aedat")


def test_packets_of_other_types_are_skipped_by_their_own_size(tmp_path):
    x, y, t, p = some_events(90, (128, 128))
    frame = struct.pack("<HHIIIIII", 2, 1, 300, 12, 0, 2, 1, 1) + b"\x01" * 600
    imu = struct.pack("<HHIIIIII", 3, 1, 36, 4, 0, 3, 3, 3) + b"\x01" * 108
    first, second = (
        aedat3_packet(x[part], y[part], t[part], p[part], spare=spare)
        for part, spare in ((slice(0, 40), 0), (slice(40, 90), 7))
    )
    data = aedat3_bytes([frame, first, imu, second, frame])
    (tmp_path / "a.aedat").write_bytes(data)
    events = read_events(tmp_path / "a.aedat")
    assert_same(events, (x, y, t, p))
    assert events.resolution_hw == (128, 128)
    assert events.notes == ("2 packets of type 2 left out", "1 packets of type 3 left out")


def test_invalid_events_are_dropped_and_overflows_added(tmp_path):
    first = aedat3_packet([1, 2, 3], [4, 5, 6], [2**31 - 9] * 3, [1, 0, 1], valid=[1, 0, 1])
    second = aedat3_packet([300], [200], [2**31 + 4], [0])
    data = aedat3_bytes([first, second], "DAVIS346B")
    (tmp_path / "a.aedat").write_bytes(data)
    events = read_events(tmp_path / "a.aedat")
    assert_same(events, ([1, 3, 300], [4, 6, 200], [0, 0, 13], [1, 1, 0]))
    assert events.resolution_hw == (260, 346)
    assert "1 events marked invalid left out" in events.notes


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (aedat3_packet([1], [1], [1], [1])[:-1], "expected a packet of 1 events of 8 bytes"),
        (struct.pack("<HHIIIIII", 1, 1, 8, 4, 2**31, 1, 1, 1) + b"\1" * 8, r"below 2\*\*61 us"),
        (bytes(20), "expected a packet of 28 bytes or more, got 20"),
        (struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, 2**32 - 1, 1, 1), "bytes are left"),
        (struct.pack("<HHIIIIII", 1, 1, 9, 4, 0, 1, 1, 1) + bytes(9), "must have 8 bytes, got 9"),
        (struct.pack("<HHIIIIII", 0x8001, 1, 8, 4, 0, 1, 1, 1) + bytes(8), "a compressed one"),
        (struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, 1, 2, 1) + bytes(16), "1 events .* 2 in use"),
    ],
    ids=["cut off", "overflow", "short", "huge", "size", "compressed", "more than capacity"],
)
def test_broken_packets_are_refused(packet, said, tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat3_bytes([packet]))
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.aedat")

"""Write a recording to npz, h5, aedat4 or bin: whole or not at all."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pcmamba.data.events import Events
from pcmamba.data.writers import replace_file

_BIN_END = 1 << 23  # microseconds that 23 bits cannot hold
_BIN_ROWS = 240  # the row that marks an overflow
_AEDAT4_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "u1"), ("spare", "V3")])
_AEDAT4_PACKET = 4096  # events
_AEDAT4_STREAMS = """<dv version="2.0">
    <node name="outInfo" path="/outInfo/">
        <node name="0" path="/outInfo/0/">
            <attr key="compression" type="string">NONE</attr>
            <attr key="originalModuleName" type="string">pcmamba</attr>
            <attr key="originalOutputName" type="string">events</attr>
            <attr key="typeDescription" type="string">Array of events.</attr>
            <attr key="typeIdentifier" type="string">EVTS</attr>
            <node name="info" path="/outInfo/0/info/">
                <attr key="sizeX" type="int">{width}</attr>
                <attr key="sizeY" type="int">{height}</attr>
                <attr key="source" type="string">pcmamba</attr>
            </node>
        </node>
    </node>
</dv>
"""


def write_events(path: str | os.PathLike[str], events: Events) -> None:
    """Write a recording in the format of the extension, replacing an older file in one step.

    - npz: x, y, t, p, t0 and resolution_hw, compressed.
    - h5, hdf5: `events/{x,y,t,p}`, `t_offset` and the attribute `resolution_hw`, compressed.
    - aedat4: one stream of events, not compressed, times with t0 added.
    - bin: 40 bits an event; the sensor and t0 are lost.

    `read_events` gives back the same events; if the first is later than 0, it is counted from there
    and t0 is later by as much. Source and notes are not kept.

    Raises:
        ValueError: Another extension, no events, or a recording that bin cannot hold: 8.39 s or
            longer, or beyond 256 columns and 240 rows.
    """
    path = Path(path)
    writers = {
        ".npz": _npz, ".h5": _h5, ".hdf5": _h5, ".aedat4": _aedat4, ".bin": _bin,
    }  # fmt: skip
    if path.suffix.lower() not in writers:
        raise ValueError(f"path must end in {', '.join(writers)}, got {path.suffix or 'none'!r}")
    if len(events) == 0:
        raise ValueError("events must be at least one, got none")
    data = writers[path.suffix.lower()](events)
    replace_file(path, lambda file: file.write(data))


def _columns(events: Events) -> dict[str, np.ndarray]:
    return {"x": events.x, "y": events.y, "t": events.t, "p": events.p}


def _npz(events: Events) -> bytes:
    buffer = io.BytesIO()
    arrays = _columns(events) | {
        "t0": np.array(events.t0, np.int64),
        "resolution_hw": np.array(events.resolution_hw),
    }
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _h5(events: Events) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["resolution_hw"] = events.resolution_hw
        file["t_offset"] = np.int64(events.t0)
        for name, column in _columns(events).items():
            file.create_dataset(
                f"events/{name}", data=column, compression="gzip", compression_opts=1, shuffle=True
            )
    return buffer.getvalue()


def _bin(events: Events) -> bytes:
    if events.t[-1] >= _BIN_END:
        raise ValueError(f"events must end before 2**23 us for bin, got {events.t[-1]} us")
    if events.x.max() >= 1 << 8 or events.y.max() >= _BIN_ROWS:
        raise ValueError(
            f"events must lie within 256 columns and {_BIN_ROWS} rows for bin, got "
            f"x up to {events.x.max()} and y up to {events.y.max()}"
        )
    rows = np.empty((len(events), 5), np.uint8)
    rows[:, 0], rows[:, 1] = events.x, events.y
    rows[:, 2] = events.p << 7 | (events.t >> 16).astype(np.uint8)
    rows[:, 3], rows[:, 4] = events.t >> 8 & 255, events.t & 255
    return rows.tobytes()


def _aedat4(events: Events) -> bytes:
    height, width = events.resolution_hw
    text = _AEDAT4_STREAMS.format(height=height, width=width).encode()
    # A FlatBuffers table: no compression, no index of packets, the tree of streams as text.
    table = struct.pack("<I4s6xHHHHHiiIqI", 24, b"IOHE", 10, 20, 4, 12, 8, 10, 0, 12, -1, len(text))
    table += text + b"\0"
    head = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(table)) + table
    return head + b"".join(_aedat4_packets(events))


def _aedat4_packets(events: Events) -> Iterator[bytes]:
    rows = np.zeros(len(events), _AEDAT4_EVENT)
    rows["t"] = events.t + events.t0
    rows["x"], rows["y"], rows["on"] = events.x, events.y, events.p
    for first in range(0, len(rows), _AEDAT4_PACKET):
        part = rows[first : first + _AEDAT4_PACKET]
        table = struct.pack("<I4s2xHHHiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(part)) + part.tobytes()
        yield struct.pack("<iiI", 0, len(table) + 4, len(table)) + table

"""aedat4: packets of FlatBuffers, packed or not, as DV writes them.

Source: AEDAT 4.0 in iniVation's description of file formats.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np

from pcmamba.data.readers.events import lz4, zstd
from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents, join_hw
from pcmamba.data.readers.events.flatbuffer import Table

_FIRST_LINE = b"#!AER-DAT4.0\r\n"
_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "u1"), ("spare", "V3")])
_INDEX_FIELD, _STREAMS_FIELD = 1, 2  # of the first table
_EVENTS = "EVTS"
_STREAM = re.compile(r'outInfo/(\d{1,9})/"')
_ATTRIBUTE = r'key="%s"[^>]*>(\w+)<'
_ALWAYS_TAKEN = 1 << 26  # bytes
_LARGEST_GROWTH = 100  # of the file


@EVENT_READERS.register(".aedat4")
def parse_aedat4(data: bytes, options: EventOptions) -> RawEvents:
    """Read the first stream of events, told by its type; frames and other streams are left out.

    Raises:
        ValueError: No AEDAT 4, no stream of events, or packets that are broken.
        ImportError: Packets of Zstandard, and no module for it.
    """
    options.refuse("aedat4", "order", "t_unit", "camera")
    header, packets = _split(data)
    streams = _streams(header)
    chosen = min((key for key, kind in streams.items() if kind[0] == _EVENTS), default=None)
    if chosen is None:
        kinds = ", ".join(sorted({kind for kind, _ in streams.values()}))
        raise ValueError(f"expected a stream of type {_EVENTS}, got {kinds or 'no streams'}")
    left = max(_ALWAYS_TAKEN, _LARGEST_GROWTH * len(data))
    parts = []
    for stream, packet in packets:
        if stream == chosen:
            parts.append(_events(packet, left))
            left -= len(parts[-1])
    rows = np.frombuffer(b"".join(parts), _EVENT)
    others = sorted(key for key in streams if key != chosen)
    notes = [f"stream {key} of type {streams[key][0]} left out" for key in others]
    sensor = streams[chosen][1]
    return RawEvents(rows["x"], rows["y"], rows["t"].astype(np.int64), rows["on"], sensor, notes)


def _split(data: bytes) -> tuple[Table, Iterator[tuple[int, bytes]]]:
    """Return the first table, and stream and content of each packet, before the index of them."""
    start = len(_FIRST_LINE) + 4
    if not data.startswith(_FIRST_LINE) or len(data) < start:
        raise ValueError(f"expected a first line '#!AER-DAT4.0', got {data[:16]!r}")
    (size,) = struct.unpack_from("<I", data, start - 4)
    if start + size > len(data):
        raise ValueError(f"expected a header of {size} bytes, got {len(data) - start}")
    header = Table(data[start : start + size])
    index = header.number(_INDEX_FIELD, "<q", -1)
    end = len(data) if index == -1 else index
    if not start + size <= end <= len(data):
        raise ValueError(f"expected the index of packets behind the header, got byte {index}")
    return header, _packets(data, start + size, end)


def _packets(data: bytes, place: int, end: int) -> Iterator[tuple[int, bytes]]:
    while place < end:
        if place + 8 > end:
            raise ValueError(f"expected a packet of 8 bytes or more, got {end - place}")
        stream, size = struct.unpack_from("<ii", data, place)
        if size < 0 or place + 8 + size > end:
            raise ValueError(
                f"expected a packet of {size} bytes at byte {place}, {end - place - 8} are left"
            )
        yield stream, data[place + 8 : place + 8 + size]
        place += 8 + size


def _streams(header: Table) -> dict[int, tuple[str, tuple[int, int] | None]]:
    """Return type and sensor of each stream from the tree of text in the header."""
    text = header.vector(_STREAMS_FIELD, 1).decode("utf-8", errors="replace")
    pieces = _STREAM.split(text)  # text, number, text, number, text, …
    streams: dict[int, tuple[str, tuple[int, int] | None]] = {}
    for key, piece in zip(map(int, pieces[1::2]), pieces[2::2], strict=True):
        kind = re.search(_ATTRIBUTE % "typeIdentifier", piece)
        sides = [re.search(_ATTRIBUTE % side, piece) for side in ("sizeY", "sizeX")]
        if kind and key not in streams:
            told = [int(side[1]) for side in sides if side and side[1].isdecimal()]
            streams[key] = kind[1], join_hw(told[0], told[1]) if len(told) == 2 else None
    return streams


def _events(packet: bytes, most: int) -> bytes:
    """Return the bytes of a packet's events."""
    if packet.startswith(lz4.MAGIC):
        packet = lz4.decompress(packet, most)
    elif packet.startswith(zstd.MAGIC):
        packet = zstd.decompress(packet, most)
    if len(packet) < 4 or struct.unpack_from("<I", packet)[0] > len(packet) - 4:
        raise ValueError(f"expected a table in a packet, got {len(packet)} bytes")
    if packet[8:12] != _EVENTS.encode():
        raise ValueError(f"expected a packet of type {_EVENTS}, got {packet[8:12]!r}")
    return Table(packet[4:]).vector(0, _EVENT.itemsize)

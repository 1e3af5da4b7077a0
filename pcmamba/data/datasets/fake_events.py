"""Small made-up recordings in the file forms of the event sets, for `make_fake`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from pcmamba.data.events import Events

_FAMILY = 3  # steps of the class in the path of the dot


def fake_recording(
    rng: np.random.Generator,
    resolution_hw: tuple[int, int],
    size: int,
    *,
    microseconds: int = 1_000_000,
    label: int = 0,
) -> Events:
    """Draw a dot that moves to a side that depends on `label`, with noise; times begin at 0."""
    height, width = resolution_hw
    t = np.sort(rng.integers(0, microseconds, size))
    t[0], t[-1] = 0, microseconds - 1
    turn = 2 * np.pi * (label % _FAMILY) / _FAMILY
    along = t / microseconds - 0.5
    x = width * (0.5 + 0.7 * along * np.cos(turn)) + rng.normal(0, 2, size)
    y = height * (0.5 + 0.7 * along * np.sin(turn)) + rng.normal(0, 2, size)
    return Events.from_arrays(
        np.clip(x, 0, width - 1).astype(np.int64),
        np.clip(y, 0, height - 1).astype(np.int64),
        t,
        rng.integers(0, 2, size),
        resolution_hw,
    )


def write_bin(path: Path, events: Events) -> None:
    """Write the 40-bit events of N-MNIST and N-Caltech101; times below 2^23 us."""
    rows = np.empty((len(events), 5), np.uint8)
    rows[:, 0], rows[:, 1] = events.x, events.y
    rows[:, 2] = events.p << 7 | (events.t >> 16).astype(np.uint8)
    rows[:, 3], rows[:, 4] = events.t >> 8 & 255, events.t & 255
    path.write_bytes(rows.tobytes())


def write_aedat2(path: Path, address: np.ndarray, t: np.ndarray, camera: str) -> None:
    """Write AEDAT 2.0: addresses (E,) as the camera packs them, times (E,) us."""
    head = f"#!AER-DAT2.0\r\n# AEChip: {camera}\r\n".encode()
    pairs = np.stack([address, t], axis=1).astype(">u4")
    path.write_bytes(head + pairs.tobytes())


def write_aedat3(path: Path, events: Events, source: str) -> None:
    """Write AEDAT 3.1: one packet of polarity events, behind one of another type."""
    head = f"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: {source}\r\n#!END-HEADER\r\n".encode()
    x, y, p = (column.astype(np.uint32) for column in (events.x, events.y, events.p))
    words = np.empty((len(events), 2), "<u4")
    words[:, 0], words[:, 1] = x << 17 | y << 2 | p << 1 | 1, events.t
    size = len(events)
    special = struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    packet = struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, size, size, size)
    path.write_bytes(head + special + packet + words.tobytes())


def davis346_address(events: Events) -> np.ndarray:
    """Return the AEDAT 2.0 addresses (E,) uint32 of a DAVIS346 for its pixels."""
    height, width = events.resolution_hw
    x, y, p = (column.astype(np.uint32) for column in (events.x, events.y, events.p))
    address: np.ndarray = (height - 1 - y) << 22 | (width - 1 - x) << 12 | p << 11
    return address


def dvs128_address(events: Events) -> np.ndarray:
    """Return the AEDAT 2.0 addresses (E,) uint32 of a DVS128 that has x and y as they are."""
    x, y, p = (column.astype(np.uint32) for column in (events.x, events.y, events.p))
    address: np.ndarray = y << 8 | x << 1 | (1 - p)
    return address

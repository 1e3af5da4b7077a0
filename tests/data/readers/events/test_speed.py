"""Whole arrays at a time: no format is read event by event in Python."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pcmamba.data import read_events
from pcmamba.testing.event_files import raw_header

EVENTS = 1_000_000


def contents() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    t, p = np.sort(rng.integers(0, 1 << 22, EVENTS)), rng.integers(0, 2, EVENTS)
    x, y = rng.integers(0, 128, EVENTS), rng.integers(0, 128, EVENTS)
    rows = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8)
    aedat = np.stack([y << 8 | x << 1 | 1 - p, t], axis=1).astype(">u4")
    dat = np.stack([t, x | y << 14 | p << 28], axis=1).astype("<u4")
    high = 8 << 12 | t >> 12
    raw = np.stack([high, 6 << 12 | t & 4095, y, 2 << 12 | p << 11 | x], axis=1).astype("<u2")
    return {
        "a.bin": rows.tobytes(),
        "a.aedat": b"#!AER-DAT2.0\r\n" + aedat.tobytes(),
        "a.dat": b"% Version 2\n\x0c\x08" + dat.tobytes(),
        "a.raw": raw_header("3.0", (128, 128)) + raw.tobytes(),
    }


@pytest.mark.timing
def test_a_million_events_take_less_than_a_hundred_copies_of_their_times(tmp_path):
    column = np.arange(EVENTS)
    for name, data in contents().items():
        (tmp_path / name).write_bytes(data)
        read_events(tmp_path / name)  # compiles what is compiled
        start = time.process_time()
        assert len(read_events(tmp_path / name)) == EVENTS
        middle = time.process_time()
        for _ in range(20):
            column.copy()
        copies = (time.process_time() - middle) / 20
        assert middle - start < 100 * max(copies, 5e-4), name

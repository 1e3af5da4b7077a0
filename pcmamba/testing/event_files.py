"""Files of event cameras made by hand, for the tests of readers and of data sets.

Each function packs columns x, y, t (microseconds), p (0 or 1) as a format's description says, event
by event or bit by bit, and shares nothing with the reader of that format.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

Column = Sequence[int] | np.ndarray

AEDAT2_CHIPS = {
    "dvs128": "ch.unizh.ini.jaer.chip.retina.DVS128",
    "davis240": "eu.seebetter.ini.chips.davis.DAVIS240C",
    "davis346": "eu.seebetter.ini.chips.davis.Davis346redColor",
}


def some_events(
    number: int, resolution_hw: tuple[int, int], *, seed: int = 0, microseconds: int = 300_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw int64 x, y, t (sorted, from 0) and p of a recording."""
    rng = np.random.default_rng(seed)
    height, width = resolution_hw
    t = np.sort(rng.integers(0, microseconds, number))
    x, y, p = (rng.integers(0, end, number) for end in (width, height, 2))
    return x, y, t - t[0], p


def bin_bytes(x: Column, y: Column, t: Column, p: Column) -> bytes:
    """Pack 40-bit events of N-MNIST; times up to 2^23 - 1."""
    rows = zip(x, y, t, p, strict=True)
    return b"".join(
        int(a << 32 | b << 24 | d << 23 | c).to_bytes(5, "big")
        for a, b, c, d in (map(int, row) for row in rows)
    )


def aedat2_bytes(
    x: Column,
    y: Column,
    t: Column,
    p: Column,
    camera: str,
    *,
    name_it: bool = True,
) -> bytes:
    """Pack AEDAT 2.0 words of a camera, with its name in the header or without."""
    lines = ["#!AER-DAT2.0", "# This is a raw AE data file", "# Timestamps tick is 1 us"]
    lines += [f"# AEChip: {AEDAT2_CHIPS[camera]}"] if name_it else []
    body = b""
    for a, b, c, d in (map(int, row) for row in zip(x, y, t, p, strict=True)):
        if camera == "dvs128":
            address = b << 8 | a << 1 | (1 - d)
        else:
            height, width = (180, 240) if camera == "davis240" else (260, 346)
            address = (height - 1 - b) << 22 | (width - 1 - a) << 12 | d << 11
        body += struct.pack(">II", address, c % 2**32)
    return "".join(f"{line}\r\n" for line in lines).encode() + body


def aedat3_packet(
    x: Column,
    y: Column,
    t: Column,
    p: Column,
    *,
    valid: Sequence[bool] | None = None,
    spare: int = 0,
) -> bytes:
    """Pack polarity events of one overflow of time; `spare` events of capacity stay unused."""
    number = len(x)
    flags = [True] * number if valid is None else valid
    body = b""
    for a, b, c, d, v in (map(int, row) for row in zip(x, y, t, p, flags, strict=True)):
        body += struct.pack("<II", v | d << 1 | b << 2 | a << 17, c % 2**31)
    overflow = int(t[0]) >> 31 if number else 0
    head = struct.pack(
        "<HHIIIIII", 1, 1, 8, 4, overflow, number + spare, number, sum(map(int, flags))
    )
    return head + body + b"\xff" * (8 * spare)


def aedat3_bytes(packets: Sequence[bytes], source: str = "DVS128") -> bytes:
    """Put packets behind a header of AEDAT 3.1."""
    lines = ["#!AER-DAT3.1", "#Format: RAW", f"#Source 1: {source}", "#!END-HEADER"]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"".join(packets)


def dat_bytes(
    x: Column,
    y: Column,
    t: Column,
    p: Column,
    resolution_hw: tuple[int, int] | None = None,
    kind: int = 12,
) -> bytes:
    """Pack a dat file of Prophesee, version 2."""
    lines = ["% Data file containing CD events.", "% Version 2"]
    if resolution_hw is not None:
        lines += [f"% Height {resolution_hw[0]}", f"% Width {resolution_hw[1]}"]
    body = bytes([kind, 8])
    for a, b, c, d in (map(int, row) for row in zip(x, y, t, p, strict=True)):
        body += struct.pack("<II", c % 2**32, a | b << 14 | d << 28)
    return "".join(f"{line}\n" for line in lines).encode() + body


def raw_header(encoding: str, resolution_hw: tuple[int, int]) -> bytes:
    """Return the header of a raw file, encoding "2.0" or "3.0"."""
    height, width = resolution_hw
    lines = [f"% evt {encoding}", f"% geometry {width}x{height}", "% end"]
    return "".join(f"{line}\n" for line in lines).encode()


def evt2_bytes(x: Column, y: Column, t: Column, p: Column) -> bytes:
    """Pack words of EVT 2.0; a word of time comes whenever its upper 28 bits change."""
    body, high = b"", -1
    for a, b, c, d in (map(int, row) for row in zip(x, y, t, p, strict=True)):
        if c >> 6 != high:
            high = c >> 6
            body += struct.pack("<I", 8 << 28 | high % 2**28)
        body += struct.pack("<I", d << 28 | (c & 63) << 22 | a << 11 | b)
    return body


def evt3_bytes(x: Column, y: Column, t: Column, p: Column) -> bytes:
    """Pack words of EVT 3.0: three events or more of one time, row and polarity become vectors."""
    rows = [tuple(map(int, row)) for row in zip(x, y, t, p, strict=True)]
    words: list[tuple[int, int]] = []
    high = low = row = -1
    place = 0
    while place < len(rows):
        first_x, now_y, now_t, now_p = rows[place]
        if now_t >> 12 != high:
            high, low = now_t >> 12, -1
            words.append((8, high % 2**12))
        if now_t % 2**12 != low:
            low = now_t % 2**12
            words.append((6, low))
        if now_y != row:
            row = now_y
            words.append((0, row))
        run = [first_x]
        for other in rows[place + 1 :]:
            if other[1:] != rows[place][1:] or not run[-1] < other[0] < run[0] + 32:
                break
            run.append(other[0])
        if len(run) < 3:
            run = run[:1]
            words.append((2, now_p << 11 | first_x))
        else:
            words.append((3, now_p << 11 | first_x))
            for kind, begin, lanes in ((4, 0, 12), (4, 12, 12), (5, 24, 8)):
                taken = (a - first_x - begin for a in run)
                words.append((kind, sum(1 << lane for lane in taken if 0 <= lane < lanes)))
        place += len(run)
    return np.array([kind << 12 | value for kind, value in words], "<u2").tobytes()

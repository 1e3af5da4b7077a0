"""LZ4 frames, the usual compression of AEDAT 4: new bytes, and copies of what came before."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

MAGIC = b"\x04\x22\x4d\x18"
_CHECKSUMS, _SIZE_TOLD, _DICTIONARY = 1 << 4, 1 << 3, 1  # flags of a frame
_AS_IT_IS = 1 << 31  # flag of a block
_LARGEST_GROWTH = 255


def decompress(frame: bytes, most: int) -> bytes:
    """Expand a frame to at most so many bytes. Check sums are not compared.

    Raises:
        ValueError: The frame is broken, needs a dictionary, or would give more.
    """
    blocks = list(_blocks(frame))
    room = sum(min(largest, _LARGEST_GROWTH * len(block)) for block, _, largest in blocks)
    out = np.empty(min(room, most), np.uint8)
    end = 0
    for block, as_it_is, _ in blocks:
        if as_it_is:
            if end + len(block) > len(out):
                raise ValueError(f"expected at most {most:,} bytes from a packet, got more")
            out[end : end + len(block)] = np.frombuffer(block, np.uint8)
            end += len(block)
        else:
            end = _expand(np.frombuffer(block, np.uint8), out, end)
            if end < 0:
                raise ValueError(f"expected at most {most:,} bytes from whole LZ4, got another")
    return out[:end].tobytes()


def _blocks(frame: bytes) -> Iterator[tuple[bytes, bool, int]]:
    """Give each block, whether it is stored as it is, and how large it may become."""
    if len(frame) < 7 or frame[:4] != MAGIC or frame[4] >> 6 != 1 or frame[4] & _DICTIONARY:
        raise ValueError(f"expected an LZ4 frame without dictionary, got {frame[:6]!r}")
    flags, largest = frame[4], 1 << (8 + 2 * (frame[5] >> 4 & 7))
    place = 15 if flags & _SIZE_TOLD else 7
    while place + 4 <= len(frame):
        (word,) = struct.unpack_from("<I", frame, place)
        size = word & ~_AS_IT_IS
        if word == 0:
            return
        if place + 4 + size > len(frame):
            break
        yield frame[place + 4 : place + 4 + size], bool(word & _AS_IT_IS), largest
        place += 4 + size + (4 if flags & _CHECKSUMS else 0)
    raise ValueError("expected the end mark of an LZ4 frame, got the end of the packet")


@njit(cache=True)
def _expand(block: np.ndarray, out: np.ndarray, end: int) -> int:
    """Write a block behind `end` and return the new end, or -1 if it is broken or out is full."""
    place, size = 0, len(block)
    while place < size:
        token = block[place]
        place += 1
        length, place = _length(block, place, token >> 4)
        if place < 0 or length > size - place or length > len(out) - end:
            return -1
        for i in range(length):
            out[end + i] = block[place + i]
        place, end = place + length, end + length
        if place == size:
            return end
        if size - place < 2:
            return -1
        back = np.int64(block[place]) | np.int64(block[place + 1]) << 8
        length, place = _length(block, place + 2, token & 15)
        length += 4
        if place < 0 or not 0 < back <= end or length > len(out) - end:
            return -1
        for i in range(end, end + length):  # a copy may run into what it writes
            out[i] = out[i - back]
        end += length
    return end


@njit(cache=True)
def _length(block: np.ndarray, place: int, start: int) -> tuple[int, int]:
    """Return a length and where it ends, or -1; 15 means that bytes follow, to one below 255."""
    length: Any = np.int64(start)  # an unsigned one would become a float
    more = 255 if start == 15 else 0
    while more == 255:
        if place >= len(block):
            return 0, -1
        more = block[place]
        length += more
        place += 1
    return length, place

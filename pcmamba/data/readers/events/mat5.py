"""Arrays of numbers in MATLAB 5 files.

A parser of our own, since scipy's ends the process on some broken files. Source: MATLAB's
description of MAT-files.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

_HEADER = 128  # bytes; the last two tell the order of bytes
_ORDERS = {b"IM": "<", b"MI": ">"}
_TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = range(6, 16)  # classes of arrays: double to uint64
_COMPLEX = 1 << 11
_ALWAYS_TAKEN = 1 << 26  # bytes
_LARGEST_GROWTH = 100


def read_mat5(data: bytes) -> dict[str, np.ndarray]:
    """Read every array of real numbers, by name; other variables are passed over.

    Raises:
        ValueError: No MATLAB 5 file, or a broken one, or an array hugely larger than the file.
    """
    order = _ORDERS.get(data[_HEADER - 2 : _HEADER])
    if order is None or len(data) < _HEADER:
        raise ValueError(f"expected a MATLAB 5 file, got {data[:20]!r}")
    left = max(_ALWAYS_TAKEN, _LARGEST_GROWTH * len(data))
    arrays: dict[str, np.ndarray] = {}
    for kind, content in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            content = _expand(content, left)
            left -= len(content)
            kind, content = next(_elements(content, order), (0, b""))
        if kind == _MATRIX:
            arrays |= _array(content, order)
    return arrays


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Give type and content of each element; at most 4 bytes may stand inside the tag itself."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            end = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data) or (start == place + 4 and size > 4):
            raise ValueError(f"expected an element of {size} bytes, {len(data) - start} are left")
        yield kind, data[start : start + size]
        place = end


def _expand(content: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        expanded = stream.decompress(content, most + 1)
    except zlib.error as error:
        raise ValueError(f"expected a whole variable, got {error}") from None
    if len(expanded) > most or not stream.eof:
        raise ValueError(f"expected a whole variable of at most {most:,} bytes, got another")
    return expanded


def _array(content: bytes, order: str) -> dict[str, np.ndarray]:
    """Return an array under its name, or nothing if it holds no real numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 4 or len(parts[0][1]) < 4:
        return {}
    (flags,) = struct.unpack_from(f"{order}I", parts[0][1])
    name = parts[2][1].decode("ascii", errors="replace")
    kind, values = parts[3]
    if flags & 0xFF not in _NUMBERS or flags & _COMPLEX or kind not in _TYPES:
        return {}
    dtype = np.dtype(order + _TYPES[kind])
    sides = _sides(parts[1][1], order)
    if math.prod(sides) * dtype.itemsize != len(values):
        raise ValueError(f"{name} must have {len(values)} bytes for its shape, got {sides}")
    array = np.frombuffer(values, dtype).reshape(sides, order="F")
    return {name: array.astype(dtype.newbyteorder("="))}


def _sides(content: bytes, order: str) -> list[int]:
    sides = [int(side) for side in np.frombuffer(content[: len(content) // 4 * 4], f"{order}i4")]
    if not 1 <= len(sides) <= 8 or min(sides) < 0:
        raise ValueError(f"expected 1 to 8 sides of an array, got {sides[:9]}")
    return sides

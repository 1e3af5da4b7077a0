"""Fields of a FlatBuffers table, checked against the bytes that hold it."""

from __future__ import annotations

import struct


class Table:
    """The root table of a buffer.

    Args:
        data: The buffer, without the size that may stand before it.

    Raises:
        ValueError: The table is not inside.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = self._unpack("<I", 0)
        self.fields = self.place - self._unpack("<i", self.place)
        self.size = self._unpack("<H", self.fields)

    def number(self, index: int, code: str, default: int) -> int:
        """Return a number, of a `struct` code, in the field with an index."""
        place = self._field(index)
        return default if place is None else self._unpack(code, place)

    def vector(self, index: int, item_bytes: int) -> bytes:
        """Return the bytes of a vector of structs or characters, empty if it is left out."""
        place = self._field(index)
        if place is None:
            return b""
        start = place + self._unpack("<I", place)
        size = self._unpack("<I", start) * item_bytes
        if start + 4 + size > len(self.data):
            raise ValueError(f"expected {size} bytes of a table at byte {start + 4}, got fewer")
        return self.data[start + 4 : start + 4 + size]

    def _field(self, index: int) -> int | None:
        at = 4 + 2 * index
        offset = self._unpack("<H", self.fields + at) if at + 2 <= self.size else 0
        return self.place + offset if offset else None

    def _unpack(self, code: str, place: int) -> int:
        if not 0 <= place <= len(self.data) - struct.calcsize(code):
            raise ValueError(f"expected a table in {len(self.data)} bytes, got a broken one")
        value: int = struct.unpack_from(code, self.data, place)[0]
        return value

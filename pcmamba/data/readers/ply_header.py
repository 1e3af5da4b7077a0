"""Header of a PLY file: which elements follow, and how their values are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_DTYPES = {
    "i1": ("char", "int8"),
    "u1": ("uchar", "uint8"),
    "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("uint", "uint32"),
    "f4": ("float", "float32"),
    "f8": ("double", "float64"),
}
_DTYPE_OF_WORD = {word: dtype for dtype, words in _DTYPES.items() for word in words}
_ORDER_OF_FORMAT = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class Property:
    """One value, or one list of values, of an element.

    Attributes:
        name: As in the file.
        dtype: NumPy code of a value, without byte order.
        count_dtype: NumPy code of a list's length; None for a single value.
    """

    name: str
    dtype: str
    count_dtype: str | None = None


@dataclass(frozen=True)
class Element:
    """`count` rows with the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def has_lists(self) -> bool:
        """Whether rows may differ in length."""
        return any(p.count_dtype is not None for p in self.properties)

    @property
    def least_values(self) -> int:
        """Fewest values of all rows: a list has at least its length."""
        return self.count * len(self.properties)

    @property
    def least_bytes(self) -> int:
        """Fewest bytes of all rows in binary."""
        row = sum(np.dtype(p.count_dtype or p.dtype).itemsize for p in self.properties)
        return self.count * row


@dataclass(frozen=True)
class Header:
    """What the body holds.

    Attributes:
        order: "<" or ">" for binary, None for ascii.
        elements: In the order of the body.
        size: Bytes of the header.
    """

    order: str | None
    elements: tuple[Element, ...]
    size: int


def parse_header(data: bytes) -> Header:
    """Read the header: LF or CRLF, comments and obj_info skipped.

    Raises:
        ValueError: No PLY, no end_header, an unknown format, type or word.
    """
    lines, size = _header_lines(data)
    words = [line.split() for line in lines]
    words = [w for w in words if w and w[0] not in ("comment", "obj_info")]
    if len(words) < 2 or words[0] != ["ply"] or words[1][0] != "format":
        raise ValueError(
            "expected the lines 'ply' and 'format …' first, got neither or one of them"
        )
    form = words[1][1] if len(words[1]) == 3 else " ".join(words[1])
    if form not in _ORDER_OF_FORMAT:
        raise ValueError(f"format must be one of {', '.join(_ORDER_OF_FORMAT)}, got {form!r}")
    return Header(_ORDER_OF_FORMAT[form], _parse_elements(words[2:]), size)


def _header_lines(data: bytes) -> tuple[list[str], int]:
    lines: list[str] = []
    position = 0
    while position < _LONGEST_HEADER:
        end = data.find(b"\n", position, _LONGEST_HEADER)
        if end < 0:
            break
        line = data[position:end].decode("latin-1").strip()
        position = end + 1
        if line == "end_header":
            return lines, position
        lines.append(line)
    raise ValueError("expected a header that ends with the line 'end_header', got none")


def _parse_elements(lines: list[list[str]]) -> tuple[Element, ...]:
    found: list[tuple[str, int, list[Property]]] = []
    for words in lines:
        match words:
            case ["element", name, count] if count.isdecimal() and len(count) < 19:
                found.append((name, int(count), []))
            case ["property", *rest] if found:
                found[-1][2].append(_parse_property(rest))
            case _:
                raise ValueError(f"expected an element or a property, got {' '.join(words)[:60]!r}")
    elements = tuple(Element(name, count, tuple(of)) for name, count, of in found)
    _check_unique("element", [element.name for element in elements])
    for element in elements:
        _check_unique(f"property of {element.name}", [p.name for p in element.properties])
    return elements


def _parse_property(words: list[str]) -> Property:
    match words:
        case ["list", count, value, name] if count in _DTYPE_OF_WORD and value in _DTYPE_OF_WORD:
            if _DTYPE_OF_WORD[count][0] == "f":
                raise ValueError(f"the length of list {name!r} must be a whole number, got {count}")
            return Property(name, _DTYPE_OF_WORD[value], _DTYPE_OF_WORD[count])
        case [value, name] if value in _DTYPE_OF_WORD:
            return Property(name, _DTYPE_OF_WORD[value])
    raise ValueError(f"expected a property's type and name, got {' '.join(words)[:60]!r}")


def _check_unique(kind: str, names: list[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"each {kind} must be named once, got {sorted(twice)[0]!r} again")

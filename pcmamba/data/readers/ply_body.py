"""Body of a PLY file: rows of values in binary or in text."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pcmamba.data.readers.ply_header import Element, Property

_STRUCT_CODES = {
    "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d",
}  # fmt: skip
_LONGEST_TOKEN = 64


@dataclass(frozen=True)
class Lists:
    """A list per row: `lengths` (N,) int64 and the values of all rows one after the other."""

    lengths: np.ndarray
    values: np.ndarray


Columns = dict[str, "np.ndarray | Lists"]


def read_binary(data: bytes, start: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read the rows of an element from `start` on; return them and where the next one starts.

    Raises:
        ValueError: The data ends too early.
    """
    left = len(data) - start
    if element.least_bytes > left:
        raise ValueError(
            f"expected at least {element.least_bytes} bytes for {element.count} rows of "
            f"{element.name}, got {left}"
        )
    if element.count == 0 or not element.properties:
        return {}, start
    lengths = _first_lengths(data, start, element, order)
    dtype = _row_dtype(element, order, lengths)
    if dtype.itemsize * element.count <= left:
        rows = np.frombuffer(data, dtype, element.count, start)
        if all((rows[_count_of(p)] == n).all() for p, n in lengths.items()):
            columns = {p.name: _column(rows, p, lengths) for p in element.properties}
            return columns, start + dtype.itemsize * element.count
    return _read_uneven(data, start, element, order)


def _count_of(prop: Property) -> str:
    return f"length of {prop.name}"


def _first_lengths(data: bytes, start: int, element: Element, order: str) -> dict[Property, int]:
    """Return the length of each list in the first row: mostly that of all rows."""
    lengths = {}
    for prop in element.properties:
        if prop.count_dtype is None:
            start += np.dtype(prop.dtype).itemsize
            continue
        lengths[prop], start = _list_length(data, start, element, prop, order)
        start += lengths[prop] * np.dtype(prop.dtype).itemsize
    return lengths


def _list_length(
    data: bytes, start: int, element: Element, prop: Property, order: str
) -> tuple[int, int]:
    assert prop.count_dtype is not None
    code = order + _STRUCT_CODES[prop.count_dtype]
    try:
        (length,) = struct.unpack_from(code, data, start)
    except struct.error:
        raise ValueError(f"expected more rows of {element.name}, got the end of the file") from None
    start += struct.calcsize(code)
    _check_length(length, (len(data) - start) // np.dtype(prop.dtype).itemsize, element)
    return length, start


def _check_length(length: float, left: int, element: Element) -> None:
    if not 0 <= length <= left or length != int(length):
        raise ValueError(
            f"expected a list of {element.name} that fits the {left} values left, "
            f"got length {length:g}"
        )


def _row_dtype(element: Element, order: str, lengths: dict[Property, int]) -> np.dtype:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    for prop in element.properties:
        if prop.count_dtype is None:
            fields.append((prop.name, order + prop.dtype))
        else:
            fields.append((_count_of(prop), order + prop.count_dtype))
            fields.append((prop.name, order + prop.dtype, (lengths[prop],)))
    return np.dtype(fields)


def _column(rows: np.ndarray, prop: Property, lengths: dict[Property, int]) -> np.ndarray | Lists:
    values = rows[prop.name].astype(prop.dtype)
    if prop.count_dtype is None:
        return values
    return Lists(np.full(len(rows), lengths[prop], np.int64), values.reshape(-1))


def _read_uneven(data: bytes, start: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read rows whose lists differ in length, one by one."""
    values: dict[str, list[float]] = {prop.name: [] for prop in element.properties}
    lengths: dict[str, list[int]] = {prop.name: [] for prop in element.properties}
    for _ in range(element.count):
        for prop in element.properties:
            length = 1
            if prop.count_dtype is not None:
                length, start = _list_length(data, start, element, prop, order)
            code = f"{order}{length}{_STRUCT_CODES[prop.dtype]}"
            size = struct.calcsize(code)
            if start + size > len(data):
                raise ValueError(f"expected more rows of {element.name}, got the end of the file")
            values[prop.name].extend(struct.unpack_from(code, data, start))
            lengths[prop.name].append(length)
            start += size
    return {
        p.name: _gathered(p, values[p.name], lengths[p.name]) for p in element.properties
    }, start


def _gathered(prop: Property, values: list[float], lengths: list[int]) -> np.ndarray | Lists:
    array = np.asarray(values, prop.dtype)
    return array if prop.count_dtype is None else Lists(np.asarray(lengths, np.int64), array)


def parse_numbers(body: bytes) -> np.ndarray:
    """Read all numbers of a text body, separated by blanks and line ends, as float64.

    Raises:
        ValueError: A token is no number.
    """
    tokens = body.split()
    longest = max(tokens, key=len, default=b"")
    if len(longest) > _LONGEST_TOKEN:
        raise ValueError(f"expected numbers, got {longest[:40].decode('latin-1')!r}…")
    try:
        return np.array(tokens, dtype=f"S{_LONGEST_TOKEN}").astype(np.float64)
    except ValueError as error:
        raise ValueError(f"expected numbers, {error}") from None


def read_ascii(numbers: np.ndarray, start: int, element: Element) -> tuple[Columns, int]:
    """Read the rows of an element from the number `start` on; see `read_binary`."""
    left = len(numbers) - start
    if element.least_values > left:
        raise ValueError(
            f"expected at least {element.least_values} numbers for {element.count} rows of "
            f"{element.name}, got {left}"
        )
    if not element.has_lists:
        end = start + element.least_values
        table = numbers[start:end].reshape(element.count, len(element.properties))
        pairs = zip(element.properties, table.T, strict=True)
        return {prop.name: _typed(values, prop.dtype, prop) for prop, values in pairs}, end
    values: dict[str, list[np.ndarray]] = {prop.name: [] for prop in element.properties}
    for _ in range(element.count):
        for prop in element.properties:
            length = 1
            if prop.count_dtype is not None:
                length, start = _ascii_length(numbers, start, element), start + 1
            values[prop.name].append(numbers[start : start + length])
            start += length
    if start > len(numbers):
        raise ValueError(f"expected more rows of {element.name}, got the end of the file")
    return {p.name: _joined(p, values[p.name]) for p in element.properties}, start


def _ascii_length(numbers: np.ndarray, start: int, element: Element) -> int:
    if start >= len(numbers):
        raise ValueError(f"expected more rows of {element.name}, got the end of the file")
    _check_length(numbers[start], len(numbers) - start - 1, element)
    return int(numbers[start])


def _joined(prop: Property, parts: list[np.ndarray]) -> np.ndarray | Lists:
    values = _typed(np.concatenate([np.empty(0), *parts]), prop.dtype, prop)
    if prop.count_dtype is None:
        return values
    return Lists(np.array([len(part) for part in parts], np.int64), values)


def _typed(values: np.ndarray, dtype: str, prop: Property) -> np.ndarray:
    """Cast numbers of a text to the type that the header gives them."""
    if dtype[0] == "f":
        with np.errstate(over="ignore"):  # checked afterwards: coordinates must be finite
            return values.astype(dtype)
    limits = np.iinfo(dtype)
    whole = np.isfinite(values) & (values == np.rint(values))
    if not (whole & (values >= limits.min) & (values <= limits.max)).all():
        raise ValueError(f"{prop.name} must hold whole numbers in {limits.min} … {limits.max}")
    return values.astype(dtype)

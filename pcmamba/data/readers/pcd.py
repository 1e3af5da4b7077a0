"""PCD: clouds of the Point Cloud Library, in text, binary or compressed binary."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, refuse_columns
from pcmamba.data.readers.columns import XYZ, unique_columns
from pcmamba.data.readers.lzf import LARGEST_GROWTH, decompress
from pcmamba.data.readers.table import decode_lines, parse_rows

_DTYPES = {
    **{("F", size): f"<f{size}" for size in (4, 8)},
    **{("I", size): f"<i{size}" for size in (1, 2, 4, 8)},
    **{("U", size): f"<u{size}" for size in (1, 2, 4, 8)},
}
_LONGEST_HEADER = 1 << 16
_MOST_VALUES = 4096  # per point
_PADDING = "_"


@dataclass(frozen=True)
class PcdHeader:
    """What the body holds.

    Attributes:
        fields: (name, NumPy code, values per point) in the order of the file.
        points: Rows.
        form: "ascii", "binary" or "binary_compressed".
        start: Place of the body's first byte.
        lines: Lines before the body.
    """

    fields: tuple[tuple[str, str, int], ...]
    points: int
    form: str
    start: int
    lines: int

    @property
    def row(self) -> int:
        """Bytes of a point in binary."""
        return sum(np.dtype(code).itemsize * count for _, code, count in self.fields)


@READERS.register(".pcd")
def parse_pcd(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read a PCD file of version 0.7 or before.

    Packed `rgb` and `rgba` become red, green and blue. A field with several values per point gives
    the columns `name_0`, `name_1`, …; padding is passed over. Organised clouds mark holes with NaN:
    such points are left out and counted.

    Raises:
        ValueError: A broken header, a type that PCD has not, more or fewer values than announced.
    """
    refuse_columns(columns, "pcd")
    header = parse_header(data)
    if header.points == 0:
        raise ValueError("POINTS must be at least 1, got 0")
    body = data[header.start :]
    match header.form:
        case "ascii":
            values = _read_ascii(body, header)
        case "binary":
            values = _read_rows(body, header)
        case _:
            values = _read_compressed(body, header)
    named = _spread(values, header)
    unique_columns(named)
    return _without_holes(RawCloud(named))


def parse_header(data: bytes) -> PcdHeader:
    """Read the lines up to DATA.

    Raises:
        ValueError: A line is missing, or does not fit the others.
    """
    entries: dict[str, list[str]] = {}
    position, number = 0, 0
    while "DATA" not in entries:
        end = data.find(b"\n", position, _LONGEST_HEADER)
        if end < 0:
            raise ValueError("expected a header that ends with a line DATA, got none")
        words = data[position:end].decode("latin-1").split()
        position, number = end + 1, number + 1
        if words and not words[0].startswith("#"):
            entries[words[0].upper()] = words[1:]
    form = " ".join(entries["DATA"]).lower()
    if form not in ("ascii", "binary", "binary_compressed"):
        raise ValueError(f"DATA must be ascii, binary or binary_compressed, got {form[:40]!r}")
    return PcdHeader(_fields(entries), _points(entries), form, position, number)


def _fields(entries: dict[str, list[str]]) -> tuple[tuple[str, str, int], ...]:
    names = entries.get("FIELDS") or entries.get("COLUMNS")
    if not names:
        raise ValueError("expected a line FIELDS, got none")
    sizes, types = entries.get("SIZE", []), entries.get("TYPE", [])
    counts = entries.get("COUNT") or ["1"] * len(names)
    if not len(names) == len(sizes) == len(types) == len(counts):
        raise ValueError(
            f"SIZE, TYPE and COUNT must have {len(names)} entries as FIELDS, got {len(sizes)}, "
            f"{len(types)} and {len(counts)}"
        )
    fields = []
    for name, size, kind, count in zip(names, sizes, types, counts, strict=True):
        code = _DTYPES.get((kind.upper(), int(size) if size.isascii() and size.isdecimal() else 0))
        if code is None or not (count.isascii() and count.isdecimal()):
            raise ValueError(f"field {name!r} must have a type of PCD, got {kind} {size} {count}")
        fields.append((name, code, int(count[:9])))
    if not 0 < sum(count for _, _, count in fields) <= _MOST_VALUES:
        raise ValueError(f"COUNT must sum to 1 … {_MOST_VALUES}, got more or none")
    return tuple(fields)


def _points(entries: dict[str, list[str]]) -> int:
    numbers = {}
    for name in ("WIDTH", "HEIGHT", "POINTS"):
        words = entries.get(name)
        if words is None:
            continue
        if (
            len(words) != 1
            or not (words[0].isascii() and words[0].isdecimal())
            or len(words[0]) > 18
        ):
            raise ValueError(f"{name} must be a whole number, got {' '.join(words)[:40]!r}")
        numbers[name] = int(words[0])
    area = numbers["WIDTH"] * numbers.get("HEIGHT", 1) if "WIDTH" in numbers else None
    points = numbers.get("POINTS", area)
    if points is None:
        raise ValueError("expected a line POINTS or WIDTH, got none")
    if area not in (None, points):
        raise ValueError(f"POINTS must be WIDTH x HEIGHT = {area}, got {points}")
    return points


def _read_ascii(body: bytes, header: PcdHeader) -> list[np.ndarray]:
    lines = [line for line in decode_lines(body) if not line.text.startswith("#")]
    if len(lines) != header.points:
        raise ValueError(f"POINTS announces {header.points} points, got {len(lines)} rows")
    # Lines are counted from the first of the file.
    table = parse_rows([type(line)(line.number + header.lines, line.text) for line in lines])
    width = sum(count for _, _, count in header.fields)
    if table.shape[1] != width:
        raise ValueError(f"rows must have {width} values, got {table.shape[1]}")
    values, at = [], 0
    for name, code, count in header.fields:
        values.append(_cast(table[:, at : at + count], name, code))
        at += count
    return values


def _cast(values: np.ndarray, name: str, code: str) -> np.ndarray:
    if code[1] == "f":
        with np.errstate(over="ignore"):  # coordinates are checked to be finite afterwards
            return values.astype(code)
    limits = np.iinfo(code)
    whole = np.isfinite(values) & (values == np.rint(values))
    if not (
        whole & (values >= limits.min) & (values <= limits.max) & (np.abs(values) < 2**63)
    ).all():
        raise ValueError(f"{name} must hold whole numbers in {limits.min} … {limits.max}")
    return values.astype(code)


def _read_rows(body: bytes, header: PcdHeader) -> list[np.ndarray]:
    size = header.points * header.row
    if len(body) < size:
        raise ValueError(f"expected {size} bytes for {header.points} points, got {len(body)}")
    dtype = np.dtype([(f"f{i}", c, (n,)) for i, (_, c, n) in enumerate(header.fields)])
    rows = np.frombuffer(body, dtype, header.points)
    return [rows[f"f{i}"] for i in range(len(header.fields))]


def _read_compressed(body: bytes, header: PcdHeader) -> list[np.ndarray]:
    if len(body) < 8:
        raise ValueError(f"expected two sizes before the compressed points, got {len(body)} bytes")
    packed, size = struct.unpack("<II", body[:8])
    wanted = header.points * header.row
    if size != wanted:
        raise ValueError(
            f"expected {wanted} bytes for {header.points} points, got {size} announced"
        )
    if len(body) - 8 < packed or size > packed * LARGEST_GROWTH:
        raise ValueError(
            f"expected {size} bytes from {packed} compressed ones, got {len(body) - 8}"
        )
    plain, values, at = decompress(body[8 : 8 + packed], size), [], 0
    for _, code, count in header.fields:
        column = np.frombuffer(plain, code, header.points * count, at)
        at += column.nbytes
        values.append(column.reshape(header.points, count))
    return values


def _spread(values: list[np.ndarray], header: PcdHeader) -> dict[str, np.ndarray]:
    """Name the columns, and unpack colours."""
    columns: dict[str, np.ndarray] = {}
    for (name, _, count), column in zip(header.fields, values, strict=True):
        if name == _PADDING:
            continue
        if name.lower() in ("rgb", "rgba") and count == 1 and column.dtype.itemsize == 4:
            packed = np.ascontiguousarray(column[:, 0]).view("<u4")
            shifts = {"red": 16, "green": 8, "blue": 0}
            new = {color: ((packed >> s) & 255).astype(np.uint8) for color, s in shifts.items()}
        elif count == 1:
            new = {name: column[:, 0]}
        else:
            new = {f"{name}_{i}": column[:, i] for i in range(count)}
        if new.keys() & columns.keys():
            raise ValueError(f"FIELDS must differ, got {name!r} twice")
        columns |= new
    return columns


def _without_holes(cloud: RawCloud) -> RawCloud:
    lower = {name.lower(): name for name in cloud.columns}
    if not set(XYZ) <= lower.keys():
        return cloud
    holes = np.isnan(np.stack([cloud.columns[lower[axis]] for axis in XYZ])).any(axis=0)
    if not holes.any() or holes.all():
        return cloud
    cloud.notes.append(f"left out {holes.sum()} of {len(holes)} points, holes of the scan (NaN)")
    cloud.columns = {name: values[~holes] for name, values in cloud.columns.items()}
    return cloud

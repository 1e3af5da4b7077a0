"""OFF meshes: vertices and polygons in text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, refuse_columns
from pcmamba.data.readers.columns import COLORS, NORMALS, XYZ, name_columns
from pcmamba.data.readers.polygons import check_corners, fan
from pcmamba.data.readers.table import Line, decode_lines, parse_rows

_HEADER = re.compile(r"(?P<color>C?)(?P<normal>N?)OFF\s*(?P<rest>[\d\s]*)")


@READERS.register(".off")
def parse_off(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read OFF, COFF, NOFF and CNOFF; polygons become fans of triangles.

    The counts may follow the header on its line, even without a blank (`OFF490 518 0`).

    Raises:
        ValueError: Another header, wrong counts, a truncated file, a corner out of range.
    """
    refuse_columns(columns, "off")
    lines = _without_comments(decode_lines(data))
    names, counts, rows = _parse_header(lines)
    size, faces = counts
    if len(rows) != size + faces:
        raise ValueError(
            f"expected {size} vertex lines and {faces} face lines, got {len(rows)} lines"
        )
    if size == 0:
        raise ValueError("expected at least one vertex, got 0")
    table = parse_rows(rows[:size])
    triangles = _parse_faces(rows[size:])
    check_corners(triangles, size)
    if table.shape[1] == len(names) + 1 and "red" in names:
        names = [*names, "alpha"]
    if table.shape[1] != len(names):
        raise ValueError(f"expected vertices of {' '.join(names)}, got {table.shape[1]} numbers")
    return RawCloud(name_columns(table, names), triangles if faces else None)


def _without_comments(lines: list[Line]) -> list[Line]:
    kept = (Line(line.number, line.text.split("#", 1)[0].strip()) for line in lines)
    return [line for line in kept if line.text]


def _parse_header(lines: list[Line]) -> tuple[list[str], tuple[int, int], list[Line]]:
    """Return the names of a vertex's numbers, the two counts and the lines that follow."""
    match = _HEADER.fullmatch(lines[0].text) if lines else None
    if match is None:
        got = lines[0].text[:40] if lines else ""
        raise ValueError(f"expected a first line OFF, COFF, NOFF or CNOFF, got {got!r}")
    names = [*XYZ, *(NORMALS if match["normal"] else ()), *(COLORS if match["color"] else ())]
    text, rest = match["rest"].strip(), lines[1:]
    if not text:
        if not rest:
            raise ValueError("expected the counts of vertices and faces, got the end of the file")
        text, rest = rest[0].text, rest[1:]
    if not re.fullmatch(r"\d{1,18}\s+\d{1,18}(\s+\d+)?", text):
        raise ValueError(f"expected the counts of vertices, faces and edges, got {text[:40]!r}")
    size, faces = (int(token) for token in text.split()[:2])
    return names, (size, faces), rest


def _parse_faces(lines: list[Line]) -> np.ndarray:
    """Read faces `length corner … [colour]`; the common case, triangles alone, in one go."""
    if not lines:
        return np.empty((0, 3), np.int64)
    try:
        rows = np.loadtxt(
            [line.text for line in lines], comments=None, usecols=(0, 1, 2, 3), ndmin=2
        )
    except ValueError:
        return _parse_polygons(lines)
    plain = (rows[:, 0] == 3) & ((rows == np.rint(rows)) & (np.abs(rows) < 2**53)).all(axis=1)
    return rows[:, 1:].astype(np.int64) if plain.all() else _parse_polygons(lines)


def _parse_polygons(lines: list[Line]) -> np.ndarray:
    corners: list[int] = []
    lengths: list[int] = []
    for line in lines:
        try:
            first, *numbers = line.text.split()
            length = int(first)
            face = [int(number) for number in numbers[: max(length, 0)]]
        except ValueError:
            raise ValueError(
                f"line {line.number} must be a face of whole numbers, got {line.text[:40]!r}"
            ) from None
        if length < 1 or len(face) != length:
            raise ValueError(
                f"line {line.number} must be a face of its own length, got {line.text[:40]!r}"
            )
        lengths.append(length)
        corners.extend(face)
    try:
        return fan(np.asarray(corners, np.int64), np.asarray(lengths, np.int64))
    except OverflowError:
        raise ValueError("face corners must be in range, got one above 2^63") from None

"""OBJ: vertices and polygons of Wavefront files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, refuse_columns
from pcmamba.data.readers.columns import COLORS, NORMALS, XYZ
from pcmamba.data.readers.polygons import check_corners, fan
from pcmamba.data.readers.table import Line, decode_lines, parse_rows

_LARGEST = 2**62


@READERS.register(".obj")
def parse_obj(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read vertices (with colours where they follow), faces, and normals where a vertex has one.

    Lines of other kinds (groups, materials, texture coordinates, …) are passed over. Corners count
    from 1, or from the last vertex so far if negative.

    Raises:
        ValueError: No vertices, a token that is no number, a corner out of range.
    """
    refuse_columns(columns, "obj")
    vertices, normals, faces, seen = _sort_lines(decode_lines(data))
    if not vertices:
        raise ValueError("expected at least one line 'v x y z', got none")
    table = parse_rows(vertices)
    cloud = RawCloud(dict(zip(XYZ, table.T, strict=False)))
    if table.shape[1] == 6:
        cloud.columns |= dict(zip(COLORS, table.T[3:], strict=True))
    elif table.shape[1] not in (3, 4):
        raise ValueError(f"a vertex must have 3, 4 or 6 numbers, got {table.shape[1]}")
    if faces:
        _add_faces(cloud, faces, seen, parse_rows(normals) if normals else np.empty((0, 3)))
    return cloud


def _sort_lines(
    lines: list[Line],
) -> tuple[list[Line], list[Line], list[Line], list[tuple[int, int]]]:
    """Return vertices, normals and faces, and how many of the former were before each face."""
    vertices: list[Line] = []
    normals: list[Line] = []
    faces: list[Line] = []
    seen: list[tuple[int, int]] = []
    for line in lines:
        kind, _, rest = line.text.partition("#")[0].replace("\t", " ").partition(" ")
        content = Line(line.number, rest.strip())
        if kind in ("v", "vn", "f") and not content.text:
            raise ValueError(f"line {line.number} must hold numbers after {kind}, got none")
        if kind == "v":
            vertices.append(content)
        elif kind == "vn":
            normals.append(content)
        elif kind == "f":
            faces.append(content)
            seen.append((len(vertices), len(normals)))
    return vertices, normals, faces, seen


def _add_faces(
    cloud: RawCloud, lines: list[Line], seen: list[tuple[int, int]], normals: np.ndarray
) -> None:
    corners: list[int] = []
    of_normals: list[int] = []
    lengths: list[int] = []
    for line, (vertices, before) in zip(lines, seen, strict=True):
        tokens = [token.split("/") for token in line.text.split()]
        lengths.append(len(tokens))
        for token in tokens:
            corners.append(_index(token[0], vertices, line))
            has_normal = len(token) == 3 and token[2] != ""
            of_normals.append(_index(token[2], before, line) if has_normal else -1)
    index = np.asarray(corners, np.int64)
    size = len(cloud.columns["x"])
    check_corners(index.reshape(-1, 1), size)
    cloud.faces = fan(index, np.asarray(lengths, np.int64))
    _add_normals(cloud, index, np.asarray(of_normals, np.int64), normals)


def _index(token: str, before: int, line: Line) -> int:
    try:
        number = int(token)
    except ValueError:
        number = 0
    if number == 0 or abs(number) > _LARGEST:
        raise ValueError(f"line {line.number} must hold corners that are not 0, got {token[:40]!r}")
    return number - 1 if number > 0 else before + number


def _add_normals(
    cloud: RawCloud, corners: np.ndarray, index: np.ndarray, normals: np.ndarray
) -> None:
    """Give each vertex its normal, if every vertex has exactly one."""
    if not len(normals) or (index < 0).all():
        return
    if index.min() < -1 or index.max() >= len(normals) or normals.shape[1] != 3:
        raise ValueError(f"faces must name normals in 1 … {len(normals)}, got others")
    of_vertex = np.full(len(cloud.columns["x"]), -1, np.int64)
    of_vertex[corners] = index
    if (of_vertex < 0).any() or (of_vertex[corners] != index).any():
        cloud.notes.append("left out the normals: not one for each vertex")
        return
    cloud.columns |= dict(zip(NORMALS, normals[of_vertex].T, strict=True))

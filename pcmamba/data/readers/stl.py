"""STL: triangles without shared corners, in text or binary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, refuse_columns
from pcmamba.data.readers.columns import XYZ
from pcmamba.data.readers.table import Line, decode_lines, parse_rows

_HEADER = 84
_FACET = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("extra", "<u2")])


@READERS.register(".stl")
def parse_stl(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read triangles; equal corners become one vertex, in the order of their first appearance.

    Normals of the facets are passed over: they follow from the corners. Binary files may start with
    "solid" too, so the size decides.

    Raises:
        ValueError: Neither form, no triangles, a size that does not fit the announced number.
    """
    refuse_columns(columns, "stl")
    count = int.from_bytes(data[80:84], "little") if len(data) >= _HEADER else -1
    if len(data) == _HEADER + count * _FACET.itemsize:
        corners = np.frombuffer(data, _FACET, count, _HEADER)["corners"].reshape(-1, 3)
    elif data.lstrip()[:5].lower() == b"solid":
        corners = _read_ascii(decode_lines(data))
    else:
        wanted = _HEADER + count * _FACET.itemsize if count >= 0 else _HEADER
        raise ValueError(f"expected {wanted} bytes for {max(count, 0)} triangles, got {len(data)}")
    if not len(corners):
        raise ValueError("expected at least one triangle, got none")
    return _merge(corners)


def _read_ascii(lines: list[Line]) -> np.ndarray:
    rows = []
    for line in lines:
        word, _, rest = line.text.partition(" ")
        if word.lower() == "vertex":
            rows.append(Line(line.number, rest.strip()))
        elif word.lower() not in ("solid", "facet", "outer", "endloop", "endfacet", "endsolid"):
            raise ValueError(f"line {line.number} must be of an STL file, got {line.text[:40]!r}")
    if len(rows) % 3:
        raise ValueError(f"expected three vertices for each facet, got {len(rows)} in all")
    table = parse_rows(rows) if rows else np.empty((0, 3))
    if table.shape[1] != 3:
        raise ValueError(f"a vertex must have 3 numbers, got {table.shape[1]}")
    return table


def _merge(corners: np.ndarray) -> RawCloud:
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    vertices = corners[first[order]]
    faces = rank[inverse.reshape(-1)].reshape(-1, 3).astype(np.int64)
    return RawCloud(dict(zip(XYZ, vertices.T, strict=True)), faces)

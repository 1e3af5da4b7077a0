"""PLY: ascii and binary, elements in any order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud, refuse_columns
from pcmamba.data.readers.columns import unique_columns
from pcmamba.data.readers.ply_body import Columns, Lists, parse_numbers, read_ascii, read_binary
from pcmamba.data.readers.ply_header import Header, parse_header
from pcmamba.data.readers.polygons import check_corners, fan

_CORNERS = ("vertex_indices", "vertex_index")


@READERS.register(".ply")
def parse_ply(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read the vertices and faces of a PLY file; other elements are passed over.

    Raises:
        ValueError: A broken header or body, no vertices, data left over, a corner out of range.
    """
    refuse_columns(columns, "ply")
    header = parse_header(data)
    elements = _read_body(data, header)
    counts = {element.name: element.count for element in header.elements}
    if not counts.get("vertex"):
        raise ValueError("expected an element 'vertex' with at least one row, got none")
    vertex = elements["vertex"]
    cloud = RawCloud({name: v for name, v in vertex.items() if isinstance(v, np.ndarray)})
    unique_columns(cloud.columns)
    lists = [name for name, values in vertex.items() if isinstance(values, Lists)]
    if lists:
        cloud.notes.append(f"left out the lists of the vertices: {', '.join(lists)}")
    cloud.faces = _triangles(elements.get("face", {}), counts["vertex"])
    return cloud


def _read_body(data: bytes, header: Header) -> dict[str, Columns]:
    elements: dict[str, Columns] = {}
    if header.order is None:
        numbers, at = parse_numbers(data[header.size :]), 0
        for element in header.elements:
            elements[element.name], at = read_ascii(numbers, at, element)
        left = len(numbers) - at
    else:
        at = header.size
        for element in header.elements:
            elements[element.name], at = read_binary(data, at, element, header.order)
        left = len(data[at:].strip())
    if left:
        unit = "numbers" if header.order is None else "bytes"
        raise ValueError(f"expected the end after the last row, got {left} more {unit}")
    return elements


def _triangles(face: Columns, size: int) -> np.ndarray | None:
    for name in _CORNERS:
        corners = face.get(name)
        if isinstance(corners, Lists):
            if corners.values.dtype.kind not in "iu":
                raise ValueError(f"{name} must hold whole numbers, got {corners.values.dtype}")
            triangles = fan(corners.values, corners.lengths)
            check_corners(triangles, size)
            return triangles
    return None

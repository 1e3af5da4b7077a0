"""From the columns of a file to a checked cloud."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.base import RawCloud
from pcmamba.data.readers.columns import COLORS, NORMALS, XYZ, canonical
from pcmamba.data.structures import PointCloud

_LARGEST_EXTENT = 1e7
_COARSEST_STEP = 1e-3  # of the extent


def assemble(raw: RawCloud, source: str, up_axis: str | None, drop_invalid: bool) -> PointCloud:
    """Check the columns of a file and put them together.

    Args:
        raw: What a parser read.
        source: Name of the file, kept in the cloud.
        up_axis: Axis that points up in the file, kept in the cloud; nothing is turned.
        drop_invalid: Leave out points whose coordinates are not finite, instead of refusing them.

    Raises:
        ValueError: No coordinates, none that are finite, or values that make no sense.
    """
    columns, notes = {canonical(n): c for n, c in raw.columns.items()}, list(raw.notes)
    missing = [name for name in XYZ if name not in columns]
    if missing:
        raise ValueError(f"expected columns x, y and z, got {', '.join(raw.columns) or 'none'}")
    xyz = np.stack([columns.pop(name) for name in XYZ], axis=1)
    faces = raw.faces
    valid = _valid_rows(xyz, drop_invalid)
    if valid is not None:
        notes.append(f"dropped {len(xyz) - valid.sum()} of {len(xyz)} points, not finite")
        if faces is not None:
            notes.append("dropped the faces with them")
        xyz, faces = xyz[valid], None
        columns = {name: values[valid] for name, values in columns.items()}
    return PointCloud(
        xyz=_as_float32(xyz),
        normals=_take_vectors(columns, notes),
        colors=_take_colors(columns, notes),
        intensity=_take_intensity(columns, notes),
        labels=_take_labels(columns),
        faces=faces,
        attributes=columns,
        source=source,
        up_axis=up_axis,
        notes=tuple(notes),
        origin=raw.origin,
    )


def _valid_rows(xyz: np.ndarray, drop_invalid: bool) -> np.ndarray | None:
    """Return which points are finite, or None if all are."""
    valid: np.ndarray = np.isfinite(xyz).all(axis=1)
    bad = len(xyz) - int(valid.sum())
    if bad == 0:
        return None
    if bad == len(xyz):
        raise ValueError(f"expected finite coordinates, got none in {bad} points (NaN or infinite)")
    if not drop_invalid:
        raise ValueError(
            f"expected finite coordinates, got {bad} of {len(xyz)} points with NaN or infinite "
            "ones; drop_invalid=True leaves them out"
        )
    return valid


def _as_float32(xyz: np.ndarray) -> np.ndarray:
    """Cast coordinates, unless float32 would destroy the shape."""
    if xyz.dtype == np.float32:
        wide = xyz.astype(np.float64)
    else:
        wide = xyz = xyz.astype(np.float64)
    extent = float(np.ptp(wide, axis=0).max())
    if extent > _LARGEST_EXTENT:
        raise ValueError(f"extent must be at most {_LARGEST_EXTENT:g}, got {extent:g}")
    largest = float(np.abs(wide).max())
    # A single place has no shape to lose; float32 input has lost nothing here.
    if extent > 0 and xyz.dtype != np.float32 and largest * 2**-24 > _COARSEST_STEP * extent:
        raise ValueError(
            f"coordinates must keep their shape in float32, got an extent of {extent:g} at a "
            f"distance of {largest:g} from zero; subtract an origin"
        )
    return xyz.astype(np.float32)


def _take(columns: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    """Remove columns that belong together and stack them, if all are there."""
    if not all(name in columns for name in names):
        return None
    return np.stack([columns.pop(name) for name in names], axis=1)


def _take_vectors(columns: dict[str, np.ndarray], notes: list[str]) -> np.ndarray | None:
    normals = _take(columns, NORMALS)
    return None if normals is None else _finite_float32(normals, "normals", notes)


def _take_intensity(columns: dict[str, np.ndarray], notes: list[str]) -> np.ndarray | None:
    values = columns.pop("intensity", None)
    return None if values is None else _finite_float32(values, "intensity", notes)


def _finite_float32(values: np.ndarray, name: str, notes: list[str]) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    bad = narrow.size - int(np.isfinite(narrow).sum())
    if bad:
        notes.append(f"left out the {name}: {bad} values are not finite")
        return None
    return narrow


def _take_colors(columns: dict[str, np.ndarray], notes: list[str]) -> np.ndarray | None:
    """Bring colours to uint8 from 0 … 255, 0 … 1 (floats) or 0 … 65535 (16-bit)."""
    colors = _take(columns, COLORS)
    if colors is None or colors.dtype == np.uint8:
        return colors
    if not np.isfinite(colors).all() or colors.min() < 0:
        raise ValueError("colours must be finite and at least 0, got others")
    largest = float(colors.max())
    if largest > 255 and not (colors.dtype == np.uint16):
        raise ValueError(f"colours must be at most 255, got {largest:g}")
    if largest > 255:
        notes.append("16-bit colours reduced to 8 bits")
        return (colors >> 8).astype(np.uint8)
    if colors.dtype.kind == "f" and largest <= 1:
        colors = colors * 255.0
    return np.rint(colors).astype(np.uint8)


def _take_labels(columns: dict[str, np.ndarray]) -> np.ndarray | None:
    labels = columns.pop("label", None)
    if labels is None:
        return None
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.rint(labels)) & (np.abs(labels) < 2**53)
        if not whole.all():
            raise ValueError("labels must be whole numbers, got others")
    elif labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"labels must fit in 64 bits, got {labels.max()}")
    return labels.astype(np.int64)

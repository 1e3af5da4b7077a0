"""Points among named arrays: which key holds what, in npz and HDF5 files."""

from __future__ import annotations

import numpy as np

from pcmamba.data.readers.base import RawCloud
from pcmamba.data.readers.columns import COLORS, NORMALS

_POINTS = ("points", "xyz", "pos", "data", "coords", "coord", "vertices", "pointcloud")
_THREES = {
    **dict.fromkeys(("normals", "normal"), NORMALS),
    **dict.fromkeys(("colors", "color", "colours", "colour", "rgb"), COLORS),
}
_SCALARS = {"intensity": "intensity", "labels": "label", "label": "label"}
_FACES = ("faces", "triangles")


def points_key(keys: list[str]) -> str:
    """Return the key that holds the points: a usual name, or the only key.

    Raises:
        ValueError: There is none.
    """
    by_lower = {key.lower(): key for key in reversed(keys)}
    for name in _POINTS:
        if name in by_lower:
            return by_lower[name]
    if len(keys) == 1:
        return keys[0]
    raise ValueError(f"expected a key of {', '.join(_POINTS)}, got {', '.join(keys) or 'no array'}")


def is_known_key(name: str) -> bool:
    """Tell whether `add_array` knows what the key means."""
    return name.lower() in (*_THREES, *_SCALARS, *_FACES)


def add_array(cloud: RawCloud, name: str, array: np.ndarray) -> None:
    """Add the array of a known key to the columns of `cloud`.

    Raises:
        ValueError: Its shape or type does not fit.
    """
    size, key = len(next(iter(cloud.columns.values()))), name.lower()
    if key in _FACES:
        if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu":
            raise ValueError(f"{name} must be whole numbers (F, 3), got {array.shape}")
        cloud.faces = array.astype(np.int64)
    elif array.ndim == 0 or (array.size == 1 and size != 1):
        cloud.notes.append(f"left out {name!r}, one value for the whole cloud: {array.item()!r}")
    else:
        _add_columns(cloud, name, array, size)


def _add_columns(cloud: RawCloud, name: str, array: np.ndarray, size: int) -> None:
    names = _THREES.get(name.lower()) or (_SCALARS[name.lower()],)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    if array.size != size * len(names) or array.shape[0] != size:
        shape = (size, 3) if len(names) == 3 else (size,)
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if names[0] in cloud.columns:
        cloud.notes.append(f"{name!r} replaces the {names[0]} that was read before")
    cloud.columns |= dict(zip(names, array.reshape(size, -1).T, strict=True))

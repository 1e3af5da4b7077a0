"""npz: named arrays."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud
from pcmamba.data.readers.columns import COLORS, NORMALS
from pcmamba.data.readers.npy import cloud_from_array, load_array

_POINTS = ("points", "xyz", "pos", "data", "coords", "coord", "vertices", "pointcloud")
_THREES = {
    **dict.fromkeys(("normals", "normal"), NORMALS),
    **dict.fromkeys(("colors", "color", "colours", "colour", "rgb"), COLORS),
}
_SCALARS = {"intensity": "intensity", "labels": "label", "label": "label"}
_FACES = ("faces", "triangles")


@READERS.register(".npz")
def parse_npz(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read points from the key points, xyz, pos, data, …, or from the only array.

    Beside them normals, colors (or rgb), intensity, labels and faces are read; a label of the whole
    cloud (one number) and keys of other names are left out and noted.

    Raises:
        ValueError: No archive, no points among the keys, objects, a shape that does not fit.
    """
    with _open(data) as archive:
        members = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}
        key = _points_key(list(members))
        cloud = cloud_from_array(load_array(_member(archive, members.pop(key))), columns)
        for name, member in members.items():
            if name.lower() in (*_THREES, *_SCALARS, *_FACES):
                _add(cloud, name, load_array(_member(archive, member)))
            else:
                cloud.notes.append(f"left out {name!r}")
    return cloud


def _open(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError) as error:
        raise ValueError(f"expected an npz archive, got a broken one ({error})") from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,  # an unknown compression
        RuntimeError,  # a password
        OSError,
        ValueError,
    ) as error:
        raise ValueError(f"expected a whole array in {name!r}, got {error}") from None


def _points_key(keys: list[str]) -> str:
    by_lower = {key.lower(): key for key in reversed(keys)}
    for name in _POINTS:
        if name in by_lower:
            return by_lower[name]
    if len(keys) == 1:
        return keys[0]
    raise ValueError(f"expected a key of {', '.join(_POINTS)}, got {', '.join(keys) or 'no array'}")


def _add(cloud: RawCloud, name: str, array: np.ndarray) -> None:
    """Add the array of a known key to the columns of `cloud`."""
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

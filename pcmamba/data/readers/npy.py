"""npy: one array."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud
from pcmamba.data.readers.columns import guess_columns, name_columns


@READERS.register(".npy")
def parse_npy(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read an array (N, C >= 3), or a structured array (N,) with fields x, y, z.

    Without names `guess_columns` tells what the columns after z are.

    Raises:
        ValueError: Objects, another shape, a truncated file.
    """
    return cloud_from_array(load_array(data), columns)


def load_array(data: bytes) -> np.ndarray:
    """Read the array of an npy file; objects are refused and sizes checked before they are taken.

    Raises:
        ValueError: No npy file, a broken header, objects, more or fewer bytes than announced.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(stream)
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise ValueError(f"expected an npy header, got a broken one ({error})") from None
    if dtype.hasobject:
        raise ValueError("expected numbers, got objects, which are pickled and could run code")
    body = data[stream.tell() :]
    size = dtype.itemsize
    for length in shape:
        size *= length
    if min(shape, default=1) < 0 or len(body) != size:
        raise ValueError(f"expected {size} bytes for shape {shape} of {dtype}, got {len(body)}")
    if size == 0:
        raise ValueError(f"expected at least one point, got shape {shape}")
    array = np.frombuffer(body, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def cloud_from_array(array: np.ndarray, columns: Sequence[str] | None = None) -> RawCloud:
    """Name the columns of an array of points; see `parse_npy`."""
    if array.dtype.names is not None:
        return _from_fields(array, array.dtype.names)
    check_points(array)
    if columns is not None:
        return RawCloud(name_columns(array, columns))
    named, notes = guess_columns(array, intensity_first=False, extra=True)
    return RawCloud(named, notes=notes)


def check_points(array: np.ndarray) -> None:
    """Raise ValueError unless the array is (N, C >= 3) of real numbers."""
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected real numbers, got {array.dtype}")
    if array.ndim == 2 and array.shape[0] == 3 and array.shape[1] > 3:
        raise ValueError(
            f"expected points in rows (N, 3), got shape {array.shape}; transpose it: array.T"
        )
    if array.ndim == 3:
        raise ValueError(
            f"expected one cloud (N, 3), got shape {array.shape}; store one cloud a file"
        )
    if array.ndim != 2 or array.shape[1] < 3:
        raise ValueError(f"expected points in rows (N, 3), got shape {array.shape}")


def _from_fields(array: np.ndarray, names: tuple[str, ...]) -> RawCloud:
    if array.ndim != 1:
        raise ValueError(f"expected a structured array (N,), got shape {array.shape}")
    bad = [name for name in names if array.dtype[name].kind not in "fiu"]
    if bad:
        raise ValueError(f"expected fields of real numbers, got {bad[0]!r}: {array.dtype[bad[0]]}")
    return RawCloud({name: array[name] for name in names})

"""h5: named arrays in an HDF5 file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud
from pcmamba.data.readers.named_arrays import add_array, is_known_key, points_key
from pcmamba.data.readers.npy import cloud_from_array

if TYPE_CHECKING:
    import h5py

_ALWAYS_TAKEN = 1 << 26  # bytes
_LARGEST_GROWTH = 1000  # of the whole file


@READERS.register(".h5", ".hdf5")
def parse_h5(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read one cloud from the key points, xyz, pos, data, …, or from the only array.

    The same keys as in an npz file. Links to other files, virtual arrays and groups are passed
    over; nothing outside the file is opened.

    Raises:
        ValueError: No HDF5, no points among the keys, a shape that does not fit, an array that is
            hugely larger than the file.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _read(file, len(data), columns)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"expected a whole HDF5 file, got {error}") from None


def _read(file: h5py.File, size: int, columns: Sequence[str] | None) -> RawCloud:
    arrays = {name: dataset for name in file if (dataset := own_dataset(file, name)) is not None}
    key = points_key(list(arrays))
    cloud = cloud_from_array(take_array(arrays.pop(key), key, size), columns)
    for name, dataset in arrays.items():
        if is_known_key(name):
            add_array(cloud, name, take_array(dataset, name, size))
        else:
            cloud.notes.append(f"left out {name!r}")
    return cloud


def own_dataset(file: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return an array that lies in the file itself, not behind a link, or None."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        return None
    return found


def take_array(dataset: h5py.Dataset, name: str, size: int) -> np.ndarray:
    """Read an array of numbers of a file of `size` bytes.

    Raises:
        ValueError: It is empty, or announces to be hugely larger than the file.
    """
    if dataset.dtype.hasobject or dataset.shape is None:
        raise ValueError(f"{name} must hold numbers, got {dataset.dtype}")
    limit = max(_ALWAYS_TAKEN, _LARGEST_GROWTH * size)
    chunk = int(np.prod(dataset.chunks or (1,), dtype=float)) * dataset.dtype.itemsize
    taken = max(dataset.size * dataset.dtype.itemsize, chunk)
    if taken > limit:
        raise ValueError(f"{name} must take at most {limit:,} bytes, got {taken:,} announced")
    array: np.ndarray = dataset[()]
    if array.size == 0:
        raise ValueError(f"{name} must have at least one row, got shape {dataset.shape}")
    return array

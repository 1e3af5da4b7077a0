"""npz: named arrays."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

from pcmamba.data.readers.base import READERS, RawCloud
from pcmamba.data.readers.named_arrays import add_array, is_known_key, points_key
from pcmamba.data.readers.npy import cloud_from_array, load_array

_ALWAYS_TAKEN = 1 << 26  # bytes; an array beyond must not be hugely smaller in the archive
_LARGEST_GROWTH = 100


@READERS.register(".npz")
def parse_npz(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read points from the key points, xyz, pos, data, …, or from the only array.

    Beside them normals, colors (or rgb), intensity, labels and faces are read; a label of the whole
    cloud (one number) and keys of other names are left out and noted.

    Raises:
        ValueError: No archive, no points among the keys, objects, a shape that does not fit, an
            array that is hugely larger than in the archive.
    """
    with open_archive(data) as archive:
        members = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}
        key = points_key(list(members))
        cloud = cloud_from_array(load_array(read_member(archive, members.pop(key))), columns)
        for name, member in members.items():
            if is_known_key(name):
                add_array(cloud, name, load_array(read_member(archive, member)))
            else:
                cloud.notes.append(f"left out {name!r}")
    return cloud


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open the bytes of an npz file, or raise ValueError."""
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError) as error:
        raise ValueError(f"expected an npz archive, got a broken one ({error})") from None


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Unpack one member, if it is whole and not hugely larger than in the archive.

    Raises:
        ValueError: It is not.
    """
    entry = archive.getinfo(name)
    if entry.file_size > max(_ALWAYS_TAKEN, _LARGEST_GROWTH * entry.compress_size):
        raise ValueError(
            f"{name!r} must not grow beyond {_LARGEST_GROWTH} times its size in the archive, got "
            f"{entry.file_size:,} bytes from {entry.compress_size:,}"
        )
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

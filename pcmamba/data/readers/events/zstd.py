"""Zstandard frames, by Python's own module or the package zstandard."""

from __future__ import annotations

import io
from typing import Any

MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20


def decompress(frame: bytes, most: int) -> bytes:
    """Expand a frame to at most so many bytes, piece by piece: a told size is not trusted.

    Raises:
        ValueError: The frame is broken or gives more.
        ImportError: There is neither module.
    """
    pieces: list[bytes] = []
    size = 0
    with _reader(frame) as reader:
        while True:
            try:
                piece = reader.read(_PIECE)
            except Exception as error:  # each module has a class of its own
                raise ValueError(f"expected whole Zstandard, got {error}") from None
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise ValueError(f"expected at most {most:,} bytes from a packet, got more")


def _reader(frame: bytes) -> Any:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        try:
            import zstandard
        except ImportError as error:
            raise ImportError(
                "this aedat4 file is packed by Zstandard, which needs zstandard: "
                "pip install zstandard"
            ) from error
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frame))
    return zstd.ZstdFile(io.BytesIO(frame))

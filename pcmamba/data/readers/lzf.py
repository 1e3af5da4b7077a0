"""LZF, the compression inside PCD files: runs of new bytes, and copies of what came before."""

from __future__ import annotations

LARGEST_GROWTH = 88  # a copy of 264 bytes takes three


def decompress(data: bytes, size: int) -> bytes:
    """Expand to exactly `size` bytes; never more is taken.

    A control byte below 32 is followed by that many bytes and one; any other holds the upper bits
    of a distance, and in its top three bits a length, of which 7 means that a byte adds to it.

    Raises:
        ValueError: The data end too early, refer to before their start, or give another size.
    """
    out, at, end = bytearray(), 0, len(data)
    while at < end:
        control = data[at]
        at += 1
        if control < 32:
            out += data[at : at + control + 1]
            at += control + 1
        else:
            at = _copy(out, data, at, control)
        if at > end or len(out) > size:
            raise ValueError(f"expected {size} bytes of compressed points, got broken ones")
    if len(out) != size:
        raise ValueError(f"expected {size} bytes of compressed points, got {len(out)}")
    return bytes(out)


def _copy(out: bytearray, data: bytes, at: int, control: int) -> int:
    length = control >> 5
    needed = 2 if length == 7 else 1
    if at + needed > len(data):
        raise ValueError("expected more compressed points, got the end of the file")
    if length == 7:
        length += data[at]
        at += 1
    distance = ((control & 31) << 8) + data[at] + 1
    length, start = length + 2, len(out) - distance
    if start < 0:
        raise ValueError("expected copies of earlier bytes, got one of before the start")
    piece = out[start : start + length]
    # A copy may run into what it writes: then its beginning repeats.
    out += (piece * (-(-length // len(piece))))[:length]
    return at + 1

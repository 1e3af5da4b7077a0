"""Lines of text before binary events, as AEDAT and Prophesee files have them."""

from __future__ import annotations

_LONGEST_LINE = 1 << 16
_TEXT = frozenset(range(32, 127)) | {9, 13}


def split_header(data: bytes, mark: bytes, ends: tuple[str, ...]) -> tuple[list[str], int]:
    """Return the lines that begin with a mark, and where they end.

    The first byte of an event may itself be the mark, so a line that is not ASCII text ends the
    header, as does a line that begins with one of `ends`.
    """
    lines: list[str] = []
    place = 0
    while data[place : place + 1] == mark:
        end = data.find(b"\n", place, place + _LONGEST_LINE)
        line = data[place:end]
        if end < 0 or not _TEXT.issuperset(line):
            break
        lines.append(line.decode("ascii").rstrip())
        place = end + 1
        if lines[-1].startswith(ends):
            break
    return lines, place

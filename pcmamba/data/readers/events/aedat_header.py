"""The text at the beginning of every AEDAT file."""

from __future__ import annotations

_LONGEST_LINE = 1 << 16
_TEXT = frozenset(range(32, 127)) | {9, 13}


def split_header(data: bytes) -> tuple[list[str], int]:
    """Return the lines that begin with `#`, and where they end.

    The first byte of an event may itself be `#`, so a line that is not ASCII text ends the header.

    Raises:
        ValueError: The first line names no AEDAT version.
    """
    lines, place = [], 0
    while data[place : place + 1] == b"#":
        end = data.find(b"\n", place, place + _LONGEST_LINE)
        line = data[place:end]
        if end < 0 or not _TEXT.issuperset(line):
            break
        lines.append(line.decode("ascii").rstrip())
        place = end + 1
        if lines[-1].startswith(("#!END-HEADER", "#End Of ASCII Header")):
            break
    if not lines or not lines[0].startswith("#!AER-DAT"):
        raise ValueError(f"expected a first line '#!AER-DAT…', got {data[:20]!r}")
    return lines, place


def version_of(lines: list[str]) -> str:
    """Return the version that the first line names."""
    return lines[0].removeprefix("#!AER-DAT").strip()

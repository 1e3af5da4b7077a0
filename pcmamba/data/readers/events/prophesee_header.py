"""The text at the beginning of Prophesee's dat and raw files."""

from __future__ import annotations

import re

from pcmamba.data.readers.events.base import join_hw
from pcmamba.data.readers.events.text_header import split_header

_GEOMETRY = re.compile(r"geometry[ =:]+(\d{1,5})x(\d{1,5})")
_SIDE = {side: re.compile(rf"\b{side}[ =:]+(\d{{1,5}})\b") for side in ("height", "width")}


def split_percent_header(data: bytes) -> tuple[str, int]:
    """Return the lines that begin with `%`, in lower case, and where they end.

    Raises:
        ValueError: There are none.
    """
    lines, end = split_header(data, b"%", ("% end", "%end"))
    if not lines:
        raise ValueError(f"expected header lines that begin with '%', got {data[:20]!r}")
    return "\n".join(lines).lower(), end


def sensor_of(header: str) -> tuple[int, int] | None:
    """Return H and W that a header tells, or None."""
    geometry = _GEOMETRY.search(header)
    if geometry:
        return join_hw(int(geometry[2]), int(geometry[1]))
    height, width = (_SIDE[side].search(header) for side in ("height", "width"))
    return join_hw(int(height[1]), int(width[1])) if height and width else None

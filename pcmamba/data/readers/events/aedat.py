"""aedat: one extension for three formats, told apart by the first line."""

from __future__ import annotations

from pcmamba.data.readers.events.aedat2 import parse_aedat2
from pcmamba.data.readers.events.aedat3 import parse_aedat3
from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents
from pcmamba.data.readers.events.text_header import split_header

_VERSION = "#!AER-DAT"
_ENDS = ("#!END-HEADER", "#End Of ASCII Header")


@EVENT_READERS.register(".aedat")
def parse_aedat(data: bytes, options: EventOptions) -> RawEvents:
    """Read AEDAT 2.0 or 3.1.

    Raises:
        ValueError: Another version, or broken content.
    """
    lines, end = split_header(data, b"#", _ENDS)
    if not lines or not lines[0].startswith(_VERSION):
        raise ValueError(f"expected a first line '{_VERSION}…', got {data[:20]!r}")
    version = lines[0].removeprefix(_VERSION).strip()
    match version:
        case "2.0":
            return parse_aedat2(lines, data[end:], options)
        case "3.1":
            return parse_aedat3(lines, data[end:], options)
    raise ValueError(f"version must be 2.0 or 3.1, got {version!r}")

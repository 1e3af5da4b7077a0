"""raw: words of Prophesee's sensors, in an encoding that the header names."""

from __future__ import annotations

import re

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents
from pcmamba.data.readers.events.evt2 import parse_evt2
from pcmamba.data.readers.events.evt3 import parse_evt3
from pcmamba.data.readers.events.prophesee_header import sensor_of, split_percent_header

_ENCODING = re.compile(r"\b(?:format evt|evt )(\d(?:\.\d)?)")
_PARSERS = {"2": parse_evt2, "2.0": parse_evt2, "3": parse_evt3, "3.0": parse_evt3}


@EVENT_READERS.register(".raw")
def parse_raw(data: bytes, options: EventOptions) -> RawEvents:
    """Read EVT 2.0 or EVT 3.0.

    Raises:
        ValueError: No header, another encoding, or broken words.
    """
    options.refuse("raw", "order", "t_unit", "camera")
    header, end = split_percent_header(data)
    found = _ENCODING.search(header)
    if found is None or found[1] not in _PARSERS:
        got = "none" if found is None else f"EVT {found[1]}"
        raise ValueError(f"the header must name the encoding EVT 2.0 or EVT 3.0, got {got}")
    raw = _PARSERS[found[1]](data[end:])
    raw.resolution_hw = sensor_of(header)
    return raw

"""Pages that carry arrays: what viewers in one HTML file have in common."""

from __future__ import annotations

import base64
import html
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np


class PageData:
    """Arrays end to end, each at a multiple of four bytes; a place is [type, offset, length]."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, values: np.ndarray, kind: str) -> list[Any]:
        """Append values as u1, u2, i4 or u4, little-endian, and return their place."""
        self.content += b"\0" * (-len(self.content) % 4)
        place = [kind, len(self.content), int(values.size)]
        self.content += np.ascontiguousarray(values, f"<{kind}").tobytes()
        return place

    def text(self) -> str:
        """Return the arrays in base64."""
        return base64.b64encode(self.content).decode()


def fill_template(name: str, title: str, meta: dict[str, Any], data: PageData) -> str:
    """Return the page `name`.html of the templates with its script `name`.js and what it shows."""
    home = files("pcmamba.viz") / "templates"
    parts = {
        "PAGE_TITLE": html.escape(title),
        # "<" inside a script could close it.
        "PAGE_META": json.dumps(meta, separators=(",", ":")).replace("<", "\\u003c"),
        "PAGE_SCRIPT": home.joinpath(f"{name}.js").read_text(encoding="utf-8"),
        "PAGE_DATA": data.text(),
    }
    template = home.joinpath(f"{name}.html").read_text(encoding="utf-8")
    return re.sub("|".join(parts), lambda found: parts[found[0]], template)

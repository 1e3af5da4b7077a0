"""Pages in one file: HTML with its styles, scripts and pictures inside, which opens offline."""

from __future__ import annotations

import base64
import functools
import os
from pathlib import Path
from typing import Any

import jinja2

from pcmamba.viz.palette import LABELS

# Blue and orange lie furthest apart, so that the first two lines of a chart do.
COLORS = LABELS[[0, 5, 2, 1, 3, 4]].tolist()


def render_page(template: str, **context: Any) -> str:
    """Fill a template of `pcmamba/viz/templates`; texts are escaped, missing names are errors."""
    return _environment().get_template(template).render(**context)


def write_page(path: str | os.PathLike[str], template: str, **context: Any) -> Path:
    """Write a page, whole or not at all; its folder is made."""
    target = Path(path)
    text = render_page(template, **context)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, target)
    return target


def png_uri(png: bytes) -> str:
    """Return a PNG as an address that carries the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pcmamba.viz"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colors"] = COLORS
    environment.filters["percent"] = _percent
    environment.filters["size"] = _size
    return environment


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _size(count: int) -> str:
    for unit in ("B", "kB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count = -(-count // 1000)
    return f"{count:.0f} MB"

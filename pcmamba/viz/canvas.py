"""Text, legends and panels around a rendered cloud, in the exact pixels that are given."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pcmamba.viz.palette import Bytes
from pcmamba.viz.scene import Legend, Scene, ramp_colors

if TYPE_CHECKING:
    from PIL.Image import Image

INK, FAINT = "#1f2328", "#6b7280"
MOST_NAMES = 24


def text_font(pixels: int) -> Any:
    """Return DejaVu Sans, which matplotlib brings and which has the signs of our texts.

    Raises:
        ImportError: matplotlib or Pillow is missing; says how to install them.
    """
    try:
        from matplotlib import get_data_path
        from PIL import ImageFont  # noqa: F401  (asked for here, so that the message is one)
    except ImportError as error:
        raise ImportError(
            f"pictures need matplotlib and pillow, {error.name} is missing: "
            "pip install 'pcmamba[viz]'"
        ) from error
    return _truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), pixels)


@cache
def _truetype(path: str, pixels: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(path, pixels)


def compose(scene: Scene, squares: list[Bytes]) -> Image:
    """Lay panels side by side, the title above, the legend to the right, the note below."""
    height, size = squares[0].shape[:2]
    text = max(13, max(height, size) // 40)
    text_font(text)
    from PIL import Image, ImageDraw

    pad = text
    captions = text * 2 if any(panel.caption for panel in scene.panels) else 0
    legend = _Legend(scene.legend, text, height) if scene.legend is not None else None
    width = pad * 2 + size * len(squares) + (legend.width + pad if legend else 0)
    titles = _wrap(scene.title, round(text * 1.2), width - 2 * pad)
    notes = _wrap(scene.note, round(text * 0.8), width - 2 * pad)
    above = pad + round(text * 1.7) * len(titles) + captions
    below = round(text * 1.2) * len(notes) + pad
    picture = Image.new("RGB", (width, above + height + below), "white")
    ink = ImageDraw.Draw(picture)
    for line, content in enumerate(titles):
        place = (pad, pad // 2 + line * round(text * 1.7))
        ink.text(place, content, fill=INK, font=text_font(round(text * 1.2)))
    for k, (panel, square) in enumerate(zip(scene.panels, squares, strict=True)):
        left = pad + k * size
        picture.paste(Image.fromarray(square), (left, above))
        middle = (left + size // 2, above - captions // 2)
        ink.text(middle, panel.caption, fill=INK, font=text_font(text), anchor="mm")
    if legend is not None:
        legend.draw(picture, pad + size * len(squares), above)
    for line, content in enumerate(notes):
        place = (pad, above + height + line * round(text * 1.2))
        ink.text(place, content, fill=FAINT, font=text_font(round(text * 0.8)))
    return picture


def _wrap(content: str, pixels: int, width: int) -> list[str]:
    """Break a text between words, or in a word too long for a line."""
    font, lines = text_font(pixels), [""]
    for word in content.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
        while font.getlength(lines[-1]) > width:
            kept = len(lines[-1])
            while kept > 1 and font.getlength(lines[-1][:kept]) > width:
                kept -= 1
            lines[-1:] = [lines[-1][:kept], lines[-1][kept:]]
    return [line for line in lines if line]


class _Legend:
    """A legend of a known width: names with dots, or a ramp with its ends."""

    def __init__(self, legend: Legend, text: int, height: int) -> None:
        self.legend, self.text, self.height = legend, text, height
        self.step = min(round(text * 1.6), height // (MOST_NAMES // 2))
        self.names = list(legend.names[:MOST_NAMES])
        if len(legend.names) > MOST_NAMES:
            self.names[-1] = f"and {len(legend.names) - MOST_NAMES + 1} more"
        words = [legend.title, *self.names, legend.low, legend.high]
        self.width = round(max(text_font(text).getlength(word) for word in words) + 2.2 * text)

    def draw(self, picture: Image, left: int, top: int) -> None:
        """Draw it in the middle of the height, title first."""
        from PIL import ImageDraw

        ink, text = ImageDraw.Draw(picture), self.text
        length = self.height // 3 if self.legend.ramp else self.step * len(self.names)
        first = top + (self.height - length) // 2
        ink.text((left, first - 2 * text), self.legend.title, fill=FAINT, font=text_font(text))
        if self.legend.ramp:
            self._ramp(picture, left, first, length)
        for row, name in enumerate(self.names):
            middle = first + row * self.step + self.step // 2
            box = (left, middle - text // 2, left + text, middle + text // 2)
            if row < MOST_NAMES - 1 or len(self.legend.names) <= MOST_NAMES:
                ink.ellipse(box, fill=self.legend.colors[row])
            place = (left + round(1.6 * text), middle)
            ink.text(place, name, fill=INK, font=text_font(text), anchor="lm")

    def _ramp(self, picture: Image, left: int, top: int, length: int) -> None:
        from PIL import Image, ImageDraw

        column = ramp_colors(self.legend, length)[::-1, None]
        bar = Image.fromarray(np.ascontiguousarray(np.repeat(column, self.text, axis=1)))
        picture.paste(bar, (left, top))
        ink, font, aside = (
            ImageDraw.Draw(picture),
            text_font(self.text),
            left + round(1.6 * self.text),
        )
        ink.text((aside, top), self.legend.high, fill=INK, font=font, anchor="lm")
        ink.text((aside, top + length), self.legend.low, fill=INK, font=font, anchor="lm")

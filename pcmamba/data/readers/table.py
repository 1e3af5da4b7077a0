"""Rows of numbers in text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """A line of a text file.

    Attributes:
        number: Place in the file, from 1.
        text: Without the line end and outer blanks, never empty.
    """

    number: int
    text: str


def decode_lines(data: bytes) -> list[Line]:
    """Split UTF-8 text into its lines that are not empty; any line end, a leading mark allowed.

    Raises:
        ValueError: The bytes are no text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text, got {error.reason} at byte {error.start}") from None
    if "\0" in text:
        raise ValueError(f"expected text, got a zero byte at {text.index(chr(0))}")
    stripped = ((i, line.strip()) for i, line in enumerate(text.splitlines(), start=1))
    return [Line(number, line) for number, line in stripped if line]


def parse_rows(lines: list[Line], delimiter: str | None = None) -> np.ndarray:
    """Read rows of equally many numbers.

    Args:
        lines: One row each, at least one.
        delimiter: One character, or None for blanks.

    Returns:
        (N, C) float64.

    Raises:
        ValueError: A row has another length than the first, or a token is no number; the line is
            named.
    """
    try:
        return np.loadtxt(
            [line.text for line in lines], delimiter=delimiter, comments=None, ndmin=2
        )
    except ValueError:
        raise ValueError(_first_fault(lines, delimiter)) from None


def is_number(token: str) -> bool:
    """Tell whether a token is a number, NaN and infinities included."""
    try:
        float(token)
    except ValueError:
        return False
    return "_" not in token


def _first_fault(lines: list[Line], delimiter: str | None) -> str:
    width = len(lines[0].text.split(delimiter))
    for line in lines:
        tokens = line.text.split(delimiter)
        bad = [token for token in tokens if not is_number(token)]
        if bad:
            return f"line {line.number} must hold numbers, got {bad[0][:40]!r}"
        if len(tokens) != width:
            return f"line {line.number} must have {width} columns as before, got {len(tokens)}"
    return f"lines {lines[0].number} to {lines[-1].number} must hold plain decimal numbers"

"""xyz, txt, csv and pts: one point a line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pcmamba.data.readers.base import READERS, RawCloud
from pcmamba.data.readers.columns import XYZ, canonical, guess_columns, is_known, name_columns
from pcmamba.data.readers.table import Line, decode_lines, is_number, parse_rows

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


@READERS.register(".xyz", ".txt", ".csv")
def parse_text(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read rows separated by blanks, commas, semicolons or tabs.

    A first line that is no row of numbers names the columns; lines that start with # or // before
    it are comments, unless they name x, y and z. Without names `guess_columns` tells what the
    columns are.

    Raises:
        ValueError: No rows, rows of unequal length, a token that is no number, a decimal comma.
    """
    return _parse(decode_lines(data), columns, intensity_first=False)


@READERS.register(".pts")
def parse_pts(data: bytes, columns: Sequence[str] | None = None) -> RawCloud:
    """Read a text file that may start with the number of its points.

    Raises:
        ValueError: As `parse_text`, or the number of rows is not the announced one.
    """
    lines = decode_lines(data)
    announced = int(lines[0].text) if lines and re.fullmatch(r"\d{1,18}", lines[0].text) else None
    cloud = _parse(lines if announced is None else lines[1:], columns, intensity_first=True)
    rows = len(next(iter(cloud.columns.values())))
    if announced not in (None, rows):
        raise ValueError(f"line 1 announces {announced} points, got {rows} rows")
    return cloud


def _parse(lines: list[Line], columns: Sequence[str] | None, *, intensity_first: bool) -> RawCloud:
    header, rows = _split_header(lines)
    if not rows:
        raise ValueError("expected at least one row of numbers, got none")
    delimiter = find_delimiter(rows[0])
    table = parse_rows(rows, delimiter)
    names = columns if columns is not None else _header_names(header, table)
    if names is not None:
        return RawCloud(name_columns(table, names))
    guessed, notes = guess_columns(table, intensity_first=intensity_first, extra=False)
    return RawCloud(guessed, notes=notes)


def _split_header(lines: list[Line]) -> tuple[str | None, list[Line]]:
    """Return the line that names the columns, if any, and the rows without comments."""
    header: str | None = None
    rows: list[Line] = []
    for line in lines:
        comment = line.text.startswith(("#", "//"))
        text = line.text.lstrip("#/ ")
        if comment:
            if not rows and {"x", "y", "z"} <= {name.lower() for name in _tokens(text)}:
                header = text
        elif rows or header is not None or any(map(is_number, _tokens(text))):
            rows.append(line)
        else:
            header = text
    return header, rows


def _header_names(header: str | None, table: np.ndarray) -> list[str] | None:
    if header is None:
        return None
    names = _tokens(header)
    if not set(XYZ) <= {canonical(name) for name in names if is_known(name)}:
        raise ValueError(
            f"the header must name x, y and z, got {header[:60]!r}; "
            "give columns=('x', 'y', 'z', …) to name the columns"
        )
    if len(names) != table.shape[1]:
        raise ValueError(f"the header names {len(names)} columns, got rows of {table.shape[1]}")
    return names


def _tokens(text: str) -> list[str]:
    return [token.strip("\"' ") for token in re.split(r"[\s,;]+", text) if token.strip("\"' ")]


def find_delimiter(line: Line) -> str | None:
    """Return the separator of a row: ; or , or None for blanks and tabs.

    Raises:
        ValueError: The row has decimal commas.
    """
    if ";" in line.text:
        delimiter, tokens = ";", [token.strip() for token in line.text.split(";")]
    else:
        delimiter, tokens = None, line.text.split()
    if len(tokens) > 1 and any(_DECIMAL_COMMA.fullmatch(token) for token in tokens):
        raise ValueError(
            f"line {line.number} must have decimal points, got decimal commas: {line.text[:60]!r}"
        )
    return "," if delimiter is None and "," in line.text else delimiter

"""csv and txt: one event a line."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents, join_hw
from pcmamba.data.readers.events.columns import event_column, events_from_table
from pcmamba.data.readers.events.time_unit import unit_of_word
from pcmamba.data.readers.table import Line, decode_lines, is_number, parse_rows
from pcmamba.data.readers.text import find_delimiter

_HEAD = 1 << 16  # bytes in which the first rows must begin
_COMMENTS = ("#", "//", "%")
_NAME = re.compile(r"(?P<name>\w+?)[\s_]*[\[( _](?P<unit>[^\W\d_]+)[\])]?")


@dataclass(frozen=True)
class _Head:
    """What stands before the rows.

    Attributes:
        end: Where the rows begin, bytes.
        delimiter: Between the numbers of a row; None: blanks.
        names: Text that names the columns, or None.
        sensor: H and W of a first line `W H`, or None.
    """

    end: int
    delimiter: str | None
    names: str | None
    sensor: tuple[int, int] | None


@EVENT_READERS.register(".csv", ".txt")
def parse_text(data: bytes, options: EventOptions) -> RawEvents:
    """Read rows separated by blanks, commas, semicolons or tabs.

    A line of names before the rows tells the columns, and may tell the unit of time ("t_us",
    "time (s)"); a first line of two numbers is `W H`; lines that begin with #, // or % are
    comments, unless they name the columns. Without names the order is the one given, or the one
    that alone fits the values.

    Raises:
        ValueError: No rows, rows of unequal length, a token that is no number, a decimal comma, an
            order that cannot be told.
    """
    options.refuse("text", "camera")
    head = _read_head(data)
    table = _read_rows(data[head.end :], head.delimiter)
    if head.names is not None and options.order is None:
        order, unit = _columns_of(head.names, head.delimiter, table.shape[1])
        options = replace(options, order=order, t_unit=options.t_unit or unit)
    raw = events_from_table(table, options)
    raw.resolution_hw = head.sensor
    return raw


def _read_head(data: bytes) -> _Head:
    names: str | None = None
    sensor: tuple[int, int] | None = None
    place = 0
    for number, line in enumerate(data[:_HEAD].splitlines(keepends=True), start=1):
        text = "".join(found.text for found in decode_lines(line))
        bare = text.lstrip("#/% ")
        if text and not text.startswith(_COMMENTS) and any(map(is_number, _tokens(text))):
            pair = text.split()
            if sensor is None and len(pair) == 2 and all(map(str.isdecimal, pair)):
                sensor = join_hw(int(pair[1]), int(pair[0]))
            else:
                return _Head(place, find_delimiter(Line(number, text)), names, sensor)
        elif bare and (_names_columns(bare) or not text.startswith(_COMMENTS)):
            names = bare
        place += len(line)
    raise ValueError("expected at least one row of numbers, got none")


def _read_rows(body: bytes, delimiter: str | None) -> np.ndarray:
    try:
        table = np.loadtxt(io.BytesIO(body), delimiter=delimiter, comments=None, ndmin=2)
    except ValueError:
        return parse_rows(decode_lines(body), delimiter)  # which names the line
    return table


def _columns_of(
    names: str, delimiter: str | None, width: int
) -> tuple[tuple[str, ...], str | None]:
    """Return the order that a line of names tells, and the unit of time or None."""
    split = [name for name in _split(names, delimiter) if name]
    if len(split) != width:
        raise ValueError(f"the header names {len(split)} columns, got rows of {width}")
    read = [_column_and_unit(name) for name in split]
    order = tuple(column or "_" for column, _ in read)
    missing = [column for column in "xytp" if order.count(column) != 1]
    if missing:
        raise ValueError(
            f"the header must name x, y, t and p once each, got {names[:60]!r}; give "
            "order='txyp' to name the columns"
        )
    return order, next((unit for column, unit in read if column == "t"), None)


def _column_and_unit(name: str) -> tuple[str | None, str | None]:
    if event_column(name) is not None:
        return event_column(name), "us" if name.lower() == "t_us" else None
    found = _NAME.fullmatch(name)
    if found and event_column(found["name"]) == "t" and unit_of_word(found["unit"]):
        return "t", unit_of_word(found["unit"])
    return None, None


def _names_columns(text: str) -> bool:
    columns = {_column_and_unit(token)[0] for token in _tokens(text)}
    return columns >= {"x", "y"}


def _split(names: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return _tokens(names)
    return [name.strip("\"' \t") for name in names.split(delimiter)]


def _tokens(text: str) -> list[str]:
    return [token.strip("\"'") for token in re.split(r"[\s,;]+", text) if token.strip("\"'")]

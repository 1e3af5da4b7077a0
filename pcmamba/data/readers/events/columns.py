"""Columns of events: names in the wild, and the test of an order that no name tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pcmamba.data.readers.events.base import EventOptions, RawEvents
from pcmamba.data.readers.events.time_unit import to_microseconds

_SYNONYMS = {
    "x": ("x", "xs", "x_pos", "x_coord", "x_coordinate", "col", "column"),
    "y": ("y", "ys", "y_pos", "y_coord", "y_coordinate", "row"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
_NAME_OF = {word: name for name, words in _SYNONYMS.items() for word in words}
_SKIPPED = "_"


def event_column(name: str) -> str | None:
    """Return which of x, y, t, p a name of a file means, or None."""
    return _NAME_OF.get(name.strip().lower())


def parse_order(order: str | Sequence[str]) -> tuple[str, ...]:
    """Return the columns that an order names: "xytp", "t x y p" or a sequence of names.

    Raises:
        ValueError: Not each of x, y, t and p once, or another name.
    """
    text = "".join(order.replace(",", " ").split()) if isinstance(order, str) else None
    names = tuple(text) if text is not None else tuple(event_column(n) or n for n in order)
    named = sorted(name for name in names if name != _SKIPPED)
    if named != ["p", "t", "x", "y"]:
        raise ValueError(
            f"order must name x, y, t and p once each, and '_' for other columns, got {order!r}"
        )
    return names


def from_columns(
    columns: Mapping[str, np.ndarray], options: EventOptions, notes: Sequence[str] = ()
) -> RawEvents:
    """Bring columns x, y, t, p with times in any unit into one form."""
    sizes = {name: columns[name].shape for name in "xytp"}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"x, y, t and p must have one length, got {sizes}")
    for name in "xy":
        if columns[name].dtype.kind not in "iuf":
            raise ValueError(f"{name} must be numbers, got {columns[name].dtype}")
    t, said = to_microseconds(columns["t"], options.t_unit)
    return RawEvents(columns["x"], columns["y"], t, columns["p"], notes=[*notes, *said])


def pick_columns(names: Sequence[str]) -> dict[str, str]:
    """Return which of a file's names hold x, y, t and p, by column.

    Raises:
        ValueError: One is missing, or two names mean the same.
    """
    picked: dict[str, str] = {}
    for name in names:
        column = event_column(name)
        if column is not None and column in picked:
            raise ValueError(f"names must differ, got {picked[column]!r} and {name!r} for {column}")
        if column is not None:
            picked[column] = name
    missing = [column for column in "xytp" if column not in picked]
    if missing:
        raise ValueError(
            f"expected names of x, y, t and p, got no {' and no '.join(missing)} among "
            f"{', '.join(map(str, names)) or 'no names'}"
        )
    return picked


def events_from_table(table: np.ndarray, options: EventOptions) -> RawEvents:
    """Read rows (E, C) of numbers in the order that the caller gives, or that alone fits."""
    if table.dtype.kind not in "iufb" or table.ndim != 2:
        raise ValueError(f"expected rows (E, 4) of numbers, got {table.dtype} {table.shape}")
    if table.shape[0] == 4 and table.shape[1] > 4:
        raise ValueError(f"expected rows (E, 4), got shape {table.shape}; transpose it: array.T")
    notes = []
    if options.order is None:
        order = find_order(table)
        notes = [f"columns read as {' '.join(order)}, which alone fits their values"]
    else:
        order = options.order
    if len(order) != table.shape[1]:
        raise ValueError(f"order must name the {table.shape[1]} columns, got {' '.join(order)}")
    named = {name: table[:, i] for i, name in enumerate(order) if name != _SKIPPED}
    return from_columns(named, options, notes)


def find_order(table: np.ndarray) -> tuple[str, ...]:
    """Tell which of the four columns (E, 4) is which: p has two values, t alone never falls.

    x is taken to come before y, as in every order in use.

    Raises:
        ValueError: No column or more than one fits.
    """
    if table.shape[1] != 4:
        raise ValueError(
            f"order must be given for {table.shape[1]} columns, '_' for those to leave out"
        )
    polar = [i for i in range(4) if _is_polarity(table[:, i])]
    rising = [i for i in range(4) if i not in polar and _never_falls(table[:, i])]
    if len(polar) != 1 or len(rising) != 1:
        raise ValueError(
            "order must be given (order='xytp'): "
            f"{len(polar)} columns could be p and {len(rising)} others t by their values"
        )
    names = iter("xy")
    places = {polar[0]: "p", rising[0]: "t"}
    return tuple(places.get(i) or next(names) for i in range(4))


def _never_falls(values: np.ndarray) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _is_polarity(values: np.ndarray) -> bool:
    if not np.isin(values, (-1, 0, 1)).all():
        return False
    return not ((values == -1).any() and (values == 0).any())

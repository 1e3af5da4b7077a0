"""npz: named arrays of events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents, join_hw
from pcmamba.data.readers.events.columns import event_column, from_columns, pick_columns
from pcmamba.data.readers.events.npy import events_from_array
from pcmamba.data.readers.npy import load_array
from pcmamba.data.readers.npz import open_archive, read_member

_TABLES = ("events", "event", "data", "arr_0")
_SENSOR, _START = "resolution_hw", "t0"


@EVENT_READERS.register(".npz")
def parse_npz(data: bytes, options: EventOptions) -> RawEvents:
    """Read the keys x, y, t, p, in any of their usual names, or one array under `events`.

    Keys `resolution_hw` and `t0`, microseconds before the times, are those of `write_events`.

    Raises:
        ValueError: No archive, no events among the keys, objects, lengths that differ.
    """
    options.refuse("npz", "camera")
    with open_archive(data) as archive:
        members = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}

        def load(name: str) -> np.ndarray:
            return load_array(read_member(archive, members[name]))

        start = _start(load(_START)) if _START in members else None
        if start is not None:
            options = replace(options, t_unit=options.t_unit or "us")
        table = _table_key(list(members))
        if table is not None:
            raw = events_from_array(load(table), options)
        else:
            options.refuse("npz with named columns", "order")
            picked = pick_columns(list(members))
            raw = from_columns({column: load(name) for column, name in picked.items()}, options)
        if _SENSOR in members:
            raw.resolution_hw = _sensor(load(_SENSOR))
        raw.t = raw.t + (start or 0)
    return raw


def _table_key(names: list[str]) -> str | None:
    if sum(event_column(name) is not None for name in names) > 1:
        return None
    for name in _TABLES:
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def _start(array: np.ndarray) -> int:
    if array.shape != () or array.dtype.kind not in "iu" or abs(int(array)) >> 60:
        raise ValueError(f"{_START} must be a whole number of microseconds, got {array}")
    return int(array)


def _sensor(array: np.ndarray) -> tuple[int, int]:
    if array.shape != (2,) or array.dtype.kind not in "iu":
        raise ValueError(f"{_SENSOR} must be two whole numbers, got {array.dtype} {array.shape}")
    return join_hw(int(array[0]), int(array[1]))

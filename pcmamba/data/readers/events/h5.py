"""h5: events in an HDF5 file, in the layouts of DSEC, Prophesee, v2e, MVSEC and others."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pcmamba.data.readers.events.base import EVENT_READERS, EventOptions, RawEvents, join_hw
from pcmamba.data.readers.events.columns import event_column, from_columns, pick_columns
from pcmamba.data.readers.events.h5_filters import check_filters
from pcmamba.data.readers.events.npy import events_from_array
from pcmamba.data.readers.h5 import own_dataset, take_array

if TYPE_CHECKING:
    import h5py

_DEEPEST, _MOST_GROUPS = 4, 200
_TABLES = ("events", "event")
_PREFERRED = ("", "events", "cd/events", "cd")


@EVENT_READERS.register(".h5", ".hdf5")
def parse_h5(data: bytes, options: EventOptions) -> RawEvents:
    """Read a group with arrays x, y, t, p, or a compound or (E, 4) array `events`, wherever it is.

    Of several, that of the file's top, `events` or `CD` is taken, or else the one whose path sorts
    first (`left` before `right`), and the others are noted. DSEC's `t_offset` is added to the times
    and its `ms_to_idx` compared with them. An attribute `resolution_hw` (of `write_events`),
    `geometry` ("1280x720") or a pair `height` and `width` tells the sensor.

    Raises:
        ValueError: No HDF5, no events in it, an array that is hugely larger than the file.
        ImportError: The arrays are packed by a filter that needs hdf5plugin.
    """
    options.refuse("h5", "camera")
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _read(file, len(data), options)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"expected a whole HDF5 file, got {error}") from None


def _read(file: h5py.File, size: int, options: EventOptions) -> RawEvents:
    found = dict(_find(file, ""))
    if not found:
        raise ValueError(
            "expected arrays x, y, t, p in one group, or an array 'events', got none; "
            f"the file's top holds {', '.join(list(file)[:8]) or 'nothing'}"
        )
    path = min(found, key=lambda p: (_rank(p), p))
    raw = _take_events(found[path], size, options, file)
    raw.notes += [f"left out the events in {other!r}" for other in sorted(found) if other != path]
    raw.resolution_hw = _sensor(file, found[path])
    return raw


def _rank(path: str) -> int:
    lower = path.strip("/").lower()
    return _PREFERRED.index(lower) if lower in _PREFERRED else len(_PREFERRED)


def _find(group: h5py.Group, path: str, depth: int = 0) -> Iterator[tuple[str, h5py.Group]]:
    """Give the groups and arrays of events below a group, by path; links are not followed."""
    import h5py

    names = list(group)[:_MOST_GROUPS]
    if {event_column(name) for name in names if own_dataset(group, name)} >= set("xytp"):
        yield path, group
    for name in names:
        inner = f"{path}/{name}"
        if (dataset := own_dataset(group, name)) is not None:
            if _is_table(name, dataset):
                yield inner, dataset
        elif depth < _DEEPEST and isinstance(group.get(name, getlink=True), h5py.HardLink):
            child = group[name]
            if isinstance(child, h5py.Group):
                yield from _find(child, inner, depth + 1)


def _is_table(name: str, dataset: h5py.Dataset) -> bool:
    fields = dataset.dtype.names
    if fields is not None:
        return {event_column(field) for field in fields} >= set("xytp")
    return name.lower() in _TABLES and len(dataset.shape or ()) == 2 and 4 in dataset.shape


def _take_events(
    found: h5py.Group | h5py.Dataset, size: int, options: EventOptions, file: h5py.File
) -> RawEvents:
    import h5py

    offset = _offset(file, found, size)
    if offset is not None:
        options = replace(options, t_unit=options.t_unit or "us")
    if isinstance(found, h5py.Dataset):
        check_filters(found)
        raw = events_from_array(take_array(found, "events", size), options)
    else:
        options.refuse("h5 with named columns", "order")
        raw = from_columns(_columns(found, size), options)
    if offset is not None:
        raw.notes += _compare_index(found, raw.t, size)
        raw.t = raw.t + offset
    return raw


def _columns(group: h5py.Group, size: int) -> dict[str, np.ndarray]:
    picked = pick_columns([name for name in group if own_dataset(group, name) is not None])
    for name in picked.values():
        check_filters(group[name])
    return {c: take_array(group[name], name, size) for c, name in picked.items()}


def _offset(file: h5py.File, found: h5py.Group | h5py.Dataset, size: int) -> int | None:
    """Return DSEC's `t_offset`, microseconds, beside the events or at the file's top."""
    for place in (found, found.parent, file):
        dataset = own_dataset(place, "t_offset") if hasattr(place, "keys") else None
        if dataset is not None:
            value = take_array(dataset, "t_offset", size)
            if value.size != 1 or value.dtype.kind not in "iu" or abs(int(value.flat[0])) >> 60:
                raise ValueError(f"t_offset must be one whole number, got {value.dtype} {value}")
            return int(value.flat[0])
    return None


def _compare_index(found: h5py.Group, t: np.ndarray, size: int) -> list[str]:
    """Compare DSEC's `ms_to_idx`, the first event of each millisecond, with the times."""
    for place in (found, found.parent):
        dataset = own_dataset(place, "ms_to_idx") if hasattr(place, "keys") else None
        if dataset is not None:
            index = take_array(dataset, "ms_to_idx", size)
            first = np.searchsorted(t, np.arange(index.size, dtype=np.int64) * 1000)
            same = index.shape == first.shape and bool((index == first).all())
            return [] if same else ["ms_to_idx does not fit the times and was not used"]
    return []


def _sensor(file: h5py.File, found: h5py.Group | h5py.Dataset) -> tuple[int, int] | None:
    for place in (found, found.parent, file):
        attrs = place.attrs
        pair = np.asarray(attrs.get("resolution_hw", ()))
        if pair.shape == (2,) and pair.dtype.kind in "iu":
            return join_hw(int(pair[0]), int(pair[1]))
        width, cross, height = str(attrs.get("geometry", "")).partition("x")
        if cross and width.isdecimal() and height.isdecimal():
            return join_hw(int(height), int(width))
        sides = [np.asarray(attrs.get(name, ())) for name in ("height", "width")]
        if all(side.size == 1 and side.dtype.kind in "iu" for side in sides):
            return join_hw(int(sides[0].flat[0]), int(sides[1].flat[0]))
    return None

"""One pass over a set of event recordings: what reports and checks want to know of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet

AnyEventSet: TypeAlias = EventSet | LazyEventSet

GRID = 8  # cells a side of the coarse pictures
HALVES = 2  # of a recording's time


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass found. Recordings that cannot be read have zeros.

    Attributes:
        sizes: (S,) int64 events.
        durations_us: (S,) int64 microseconds from the first event to the last.
        brighter: (S,) int64 events of polarity 1.
        extents_hw: (S, 2) int64 rows and columns in use, counted from 0.
        keys: (S,) uint64; equal recordings have equal keys, others differ but for a chance of
            about 2^-64 a pair.
        pictures: (S, 2, 2, 8, 8) float32 share of the events by half of the time, polarity, row and
            column of a coarse grid over the sensor.
        failures: (id, message) of recordings that cannot be read.
        notes: What readers noted, gathered.
    """

    sizes: np.ndarray
    durations_us: np.ndarray
    brighter: np.ndarray
    extents_hw: np.ndarray
    keys: np.ndarray
    pictures: np.ndarray
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


_KNOWN: WeakKeyDictionary[AnyEventSet, Survey] = WeakKeyDictionary()


def survey(event_set: AnyEventSet) -> Survey:
    """Read every recording once; the result is kept as long as the set.

    Raises:
        ImportError: A package is missing that reads the files.
    """
    if event_set not in _KNOWN:
        _KNOWN[event_set] = _survey(event_set)
    return _KNOWN[event_set]


def gather_notes(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Bring notes (recording, note) that differ in numbers alone to one line each."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, note in pairs:
        found.setdefault(re.sub(r"\d[\d,.]*", "#", note), []).append((name, note))
    return [
        f"{alike[0][0]}: {alike[0][1]}" + (f" (and {len(alike) - 1:,} more)" if alike[1:] else "")
        for alike in found.values()
    ]


def _survey(event_set: AnyEventSet) -> Survey:
    size = len(event_set)
    numbers = np.zeros((size, 5), np.int64)
    keys = np.zeros(size, np.uint64)
    pictures = np.zeros((size, HALVES, 2, GRID, GRID), np.float32)
    failures, notes = [], []
    for i, name in enumerate(event_set.ids):
        try:
            events = event_set.recording(i)
        except (ValueError, OSError) as error:
            failures.append((name, str(error)))
            continue
        keys[i] = _key(events)
        notes += [(name, note) for note in events.notes]
        if len(events):
            used = int(events.y.max()) + 1, int(events.x.max()) + 1
            numbers[i] = len(events), events.duration, int(events.p.sum()), *used
            pictures[i] = _picture(events, event_set.resolution_hw)
    sizes, durations, brighter = numbers[:, 0], numbers[:, 1], numbers[:, 2]
    return Survey(
        sizes, durations, brighter, numbers[:, 3:], keys, pictures, tuple(failures),
        tuple(gather_notes(notes)),
    )  # fmt: skip


def _key(events: Events) -> np.uint64:
    digest = hashlib.blake2b(digest_size=8)
    for column in (events.x, events.y, events.t, events.p):
        digest.update(column.tobytes())
    return np.frombuffer(digest.digest(), np.uint64)[0]


def _picture(events: Events, resolution_hw: tuple[int, int]) -> np.ndarray:
    height, width = resolution_hw
    half = (events.t - events.t[0]) * HALVES // (events.duration + 1)
    row = events.y.astype(np.int64) * GRID // height
    column = events.x.astype(np.int64) * GRID // width
    cell = ((half * 2 + events.p) * GRID + row) * GRID + column
    counts = np.bincount(cell, minlength=HALVES * 2 * GRID * GRID)
    return counts.reshape(HALVES, 2, GRID, GRID) / len(events)

"""What there is to say about any set of event recordings before training on it."""

from __future__ import annotations

import numpy as np

from pcmamba.data.event_set import EventSet


def report_event_splits(train: EventSet, test: EventSet) -> list[str]:
    """Describe both splits: counts, classes, sensor, sizes, rates, order, groups and overlap.

    Raises:
        ValueError: The splits disagree on the classes, or an id is in both.
    """
    if train.class_names != test.class_names:
        raise ValueError("class_names must be the same in train and test, got two lists")
    shared = sorted(set(train.ids) & set(test.ids))
    if shared:
        raise ValueError(f"ids must be in one split, got {len(shared)} in both, first {shared[0]}")
    lines = [f"{train.name}: {len(train.class_names)} classes: {', '.join(train.class_names)}"]
    for event_set in (train, test):
        lines += [f"{event_set.split}: {line}" for line in _describe(event_set)]
    return lines


def event_class_counts(event_set: EventSet) -> list[int]:
    """Return the number of recordings of each class."""
    counts: list[int] = event_set.labels.bincount(minlength=len(event_set.class_names)).tolist()
    return counts


def durations_us(event_set: EventSet) -> np.ndarray:
    """Return the time (S,) int64 from the first to the last event of each recording; 0 if empty."""
    offsets, t = event_set.offsets.cpu().numpy(), event_set.t.cpu().numpy()
    spans = np.zeros(len(event_set), np.int64)
    some = np.flatnonzero(np.diff(offsets))
    spans[some] = t[offsets[1:][some] - 1] - t[offsets[:-1][some]]
    return spans


def _describe(event_set: EventSet) -> list[str]:
    counts = event_class_counts(event_set)
    empty = [n for n, c in zip(event_set.class_names, counts, strict=True) if c == 0]
    sizes = event_set.offsets.diff().cpu().numpy()
    seconds = durations_us(event_set) / 1e6
    rate = sizes.sum() / max(seconds.sum(), 1e-6)
    height, width = event_set.resolution_hw
    lines = [
        f"{len(event_set):,} recordings of {sizes.min():,} to {sizes.max():,} events, "
        f"{min(counts):,} to {max(counts):,} per class",
        f"sensor {width} x {height}, {sizes.sum():,} events, {_brighter(event_set):.0%} brighter",
        f"{seconds.min():.3g} to {seconds.max():.3g} s a recording, {rate:,.0f} events/s",
    ]
    if event_set.groups is not None:
        lines.append(f"{len(set(event_set.groups)):,} groups that must not straddle a split")
    if bool((event_set.labels.diff() >= 0).all()):
        lines.append("sorted by class, which hides a model that depends on its batch")
    lines += event_set.notes
    if empty:
        lines.append(f"no recordings of {', '.join(empty)}")
    return lines


def _brighter(event_set: EventSet) -> float:
    return float(event_set.p.sum()) / max(len(event_set.p), 1)

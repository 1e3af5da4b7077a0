"""What there is to say about any set of event recordings before training on it."""

from __future__ import annotations

from typing import Any

from pcmamba.data.event_survey import AnyEventSet, survey


def check_event_set(dataset: Any) -> list[str]:
    """Read both splits of a data set and describe them, with its licence.

    Raises:
        ValueError: As `load` of the set and `report_event_splits`.
        FileNotFoundError: As `load`.
    """
    lines = report_event_splits(dataset.load("train"), dataset.load("test"))
    return [*lines, f"licence: {dataset.licence}"]


def report_event_splits(train: AnyEventSet, test: AnyEventSet) -> list[str]:
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


def event_class_counts(event_set: AnyEventSet) -> list[int]:
    """Return the number of recordings of each class."""
    counts: list[int] = event_set.labels.bincount(minlength=len(event_set.class_names)).tolist()
    return counts


def _describe(event_set: AnyEventSet) -> list[str]:
    counts, found = event_class_counts(event_set), survey(event_set)
    empty = [n for n, c in zip(event_set.class_names, counts, strict=True) if c == 0]
    seconds, events = found.durations_us / 1e6, int(found.sizes.sum())
    brighter = found.brighter.sum() / max(events, 1)
    height, width = event_set.resolution_hw
    lines = [
        f"{len(event_set):,} recordings of {found.sizes.min():,} to {found.sizes.max():,} events, "
        f"{min(counts):,} to {max(counts):,} per class",
        f"sensor {width} x {height}, {events:,} events, {brighter:.0%} brighter",
        f"{seconds.min():.3g} to {seconds.max():.3g} s a recording, "
        f"{events / max(seconds.sum(), 1e-6):,.0f} events/s",
    ]
    if event_set.groups is not None:
        lines.append(f"{len(set(event_set.groups)):,} groups that must not straddle a split")
    if bool((event_set.labels.diff() >= 0).all()):
        lines.append("sorted by class, which hides a model that depends on its batch")
    lines += [*event_set.notes, *found.notes]
    if empty:
        lines.append(f"no recordings of {', '.join(empty)}")
    return lines

"""Faults of a set of event recordings that training would not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pcmamba.data.event_report import event_class_counts
from pcmamba.data.event_survey import AnyEventSet, Survey, survey
from pcmamba.data.faults import Finding

_IMBALANCE = 50.0
_STRAY_RATIO = 20.0  # of one recording to the median
_SPAN_RATIO = 3.0  # of the splits' median durations
_EXTENT_RATIO = 1.25  # of the splits' sides in use
_POLARITY_GAP = 0.2  # of the splits' shares of brighter events
_CLEARER = 0.15  # of accuracy, by which another reading must beat the given one
_LEAST_TEST = 20


@dataclass(frozen=True)
class _Side:
    """A split and what a pass over it found."""

    data: AnyEventSet
    found: Survey

    @property
    def some(self) -> np.ndarray:
        """Recordings that have events, (S,) bool."""
        return np.asarray(self.found.sizes > 0)


def find_event_faults(load: Callable[[str], AnyEventSet]) -> list[Finding]:
    """Load both splits, read every recording and look for what is wrong with them.

    Raises:
        FileNotFoundError: The data are not there.
        ImportError: A package is missing that reads the files.
    """
    sides = []
    for split in ("train", "test"):
        try:
            data = load(split)
        except ValueError as error:
            return [Finding("files, numbers, labels", "FAULT", f"{split}: {error}")]
        sides.append(_Side(data, survey(data)))
    return list(_compare(*sides))


def _compare(train: _Side, test: _Side) -> Iterator[Finding]:
    yield _files(train, test)
    if train.data.class_names != test.data.class_names:
        yield Finding("classes", "FAULT", "train and test name different classes")
        return
    yield _classes(train, test)
    yield _balance(train)
    yield _groups(train, test)
    yield _duplicates(train, test)
    yield _empty(train, test)
    if not (train.some.any() and test.some.any()):
        return
    yield _sizes(train, test)
    yield _order(train, test)
    yield _duration(train, test)
    yield _sensor(train, test)
    yield _polarity(train, test)
    yield from _readings(train, test)


def _files(*sides: _Side) -> Finding:
    failures = [(s.data.split, *failure) for s in sides for failure in s.found.failures]
    if failures:
        split, name, message = failures[0]
        detail = f"{len(failures):,} recordings cannot be read, first {name} of {split}: {message}"
        return Finding("files, numbers, labels", "FAULT", detail)
    return Finding("files, numbers, labels", "ok", "all are read, all labels in range")


def _classes(train: _Side, test: _Side) -> Finding:
    missing = [_missing(side.data) for side in (train, test)]
    if missing[0]:
        return Finding("classes", "FAULT", f"train has no recordings of {', '.join(missing[0])}")
    if missing[1]:
        return Finding("classes", "note", f"test has no recordings of {', '.join(missing[1])}")
    return Finding("classes", "ok", f"all {len(train.data.class_names)} in train and test")


def _missing(data: AnyEventSet) -> list[str]:
    pairs = zip(data.class_names, event_class_counts(data), strict=True)
    return [name for name, count in pairs if count == 0]


def _balance(train: _Side) -> Finding:
    counts = [count for count in event_class_counts(train.data) if count]
    detail = f"{min(counts):,} to {max(counts):,} training recordings a class"
    much = max(counts) / min(counts) > _IMBALANCE
    return Finding("class balance", "note" if much else "ok", detail)


def _groups(train: _Side, test: _Side) -> Finding:
    if train.data.groups is None or test.data.groups is None:
        return Finding("people or other groups", "note", "not known, so not compared")
    shared = sorted(set(train.data.groups) & set(test.data.groups))
    if shared:
        detail = f"{len(shared):,} are in train and test, first {shared[0]}"
        return Finding("people or other groups", "FAULT", detail)
    count = len(set(train.data.groups)), len(set(test.data.groups))
    detail = f"{count[0]:,} in train, {count[1]:,} others in test"
    return Finding("people or other groups", "ok", detail)


def _duplicates(train: _Side, test: _Side) -> Finding:
    first, second = train.found.keys[train.some], test.found.keys[test.some]
    shared = np.isin(test.found.keys, first) & test.some
    if shared.any():
        name = test.data.ids[int(shared.argmax())]
        detail = f"{shared.sum():,} recordings of test are in train too, first {name}"
        return Finding("duplicates", "FAULT", detail)
    twice = sum(len(keys) - len(np.unique(keys)) for keys in (first, second))
    if twice:
        return Finding("duplicates", "note", f"{twice:,} recordings come twice within a split")
    return Finding("duplicates", "ok", "no recording comes twice")


def _empty(*sides: _Side) -> Finding:
    unread = {name for side in sides for name, _ in side.found.failures}
    names = [side.data.ids[i] for side in sides for i in np.flatnonzero(~side.some)]
    names = [name for name in names if name not in unread]
    if names:
        detail = f"{len(names):,} have no events, first {names[0]}"
        return Finding("empty recordings", "FAULT", detail)
    return Finding("empty recordings", "ok", "all have events")


def _sizes(*sides: _Side) -> Finding:
    said = []
    for side in sides:
        sizes = side.found.sizes.astype(np.float64)
        median = float(np.median(sizes[side.some]))
        stray = side.some & ((sizes > median * _STRAY_RATIO) | (sizes * _STRAY_RATIO < median))
        if stray.any():
            name = side.data.ids[int(stray.argmax())]
            said.append(f"{side.data.split}: {stray.sum():,} far from the median, first {name}")
    if said:
        return Finding("events of single recordings", "note", "; ".join(said))
    return Finding("events of single recordings", "ok", "all near the median")


def _order(*sides: _Side) -> Finding:
    notes = [note for s in sides for note in (*s.found.notes, *s.data.notes) if "sorted" in note]
    notes = [note for note in notes if "sorted by class" not in note]
    if notes:
        return Finding("order of time", "note", "; ".join(notes))
    return Finding("order of time", "ok", "never falls")


def _duration(train: _Side, test: _Side) -> Finding:
    spans = [float(np.median(s.found.durations_us[s.some])) / 1e6 for s in (train, test)]
    detail = f"median {spans[0]:.4g} s in train, {spans[1]:.4g} s in test"
    ratio = max(spans) / max(min(spans), 1e-6)
    return Finding("duration", "FAULT" if ratio > _SPAN_RATIO else "ok", detail)


def _sensor(train: _Side, test: _Side) -> Finding:
    used = [s.found.extents_hw.max(axis=0).astype(np.float64) for s in (train, test)]
    (h1, w1), (h2, w2) = used
    detail = f"train uses {w1:.0f} x {h1:.0f}, test {w2:.0f} x {h2:.0f}"
    height, width = train.data.resolution_hw
    detail += f" of {width} x {height}"
    ratio = max(max(a, b) / min(a, b) for a, b in ((h1, h2), (w1, w2)))
    if train.data.resolution_hw != test.data.resolution_hw or ratio > _EXTENT_RATIO:
        return Finding("sensor", "FAULT", detail)
    small = max(h1, h2) * 2 < height or max(w1, w2) * 2 < width
    return Finding("sensor", "note" if small else "ok", detail)


def _polarity(train: _Side, test: _Side) -> Finding:
    shares = [float(s.found.brighter.sum() / s.found.sizes.sum()) for s in (train, test)]
    detail = f"brighter: {shares[0]:.0%} in train, {shares[1]:.0%} in test"
    if abs(shares[0] - shares[1]) > _POLARITY_GAP:
        return Finding("polarity", "FAULT", detail)
    one = min(shares) == 0.0 or max(shares) == 1.0
    return Finding("polarity", "note" if one else "ok", detail)


# Ways in which a test split may have been read otherwise than train: the axes of a picture are
# half of the time, polarity, row, column.
_EXCHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows and columns exchanged": lambda p: p.swapaxes(3, 4),
    "columns from the other side": lambda p: p[..., ::-1],
    "rows from the other side": lambda p: p[..., ::-1, :],
    "polarity exchanged": lambda p: p[:, :, ::-1],
    "time reversed": lambda p: p[:, ::-1],
}


def _readings(train: _Side, test: _Side) -> Iterator[Finding]:
    """Classify coarse pictures of test by the nearest mean of train, as read and otherwise."""
    classes = len(train.data.class_names)
    labels = test.data.labels.cpu().numpy()[test.some]
    if len(labels) < _LEAST_TEST or classes < 3:
        yield Finding("axes and labels", "note", f"not compared: {len(labels)} test recordings")
        return
    pictures = np.sqrt(test.found.pictures[test.some])
    means, present = _means(train)
    base = _accuracy(pictures, labels, means, present)
    said = f"nearest class mean fits {base:.0%}"
    found = {n: _accuracy(f(pictures), labels, means, present) for n, f in _EXCHANGES.items()}
    best = max(found, key=lambda name: found[name])
    if found[best] > base + _CLEARER:
        detail = f"{said} of test, but {found[best]:.0%} with {best}"
        yield Finding("axes, test against train", "FAULT", detail)
    else:
        yield Finding("axes, test against train", "ok", f"{said}, no exchange fits better")
    shifts = {s: _accuracy(pictures, (labels + s) % classes, means, present) for s in (-1, 1)}
    shift = max(shifts, key=lambda s: shifts[s])
    if shifts[shift] > base + _CLEARER:
        detail = f"{said} of test, but {shifts[shift]:.0%} with its labels changed by {shift:+d}"
        yield Finding("labels, test against train", "FAULT", detail)
    else:
        yield Finding("labels, test against train", "ok", f"{said}, no shift fits better")


def _means(train: _Side) -> tuple[np.ndarray, np.ndarray]:
    labels = train.data.labels.cpu().numpy()[train.some]
    # The square root evens out how much single busy pixels weigh.
    pictures, present = np.sqrt(train.found.pictures[train.some]), np.unique(labels)
    return np.stack([pictures[labels == k].mean(axis=0) for k in present]), present


def _accuracy(
    pictures: np.ndarray, labels: np.ndarray, means: np.ndarray, present: np.ndarray
) -> float:
    flat, centres = pictures.reshape(len(pictures), -1), means.reshape(len(means), -1)
    far = (centres**2).sum(axis=1) - 2 * flat @ centres.T
    return float((present[far.argmin(axis=1)] == labels).mean())

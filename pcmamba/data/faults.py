"""Faults of a labelled set that training would not tell: found in the data, not in what is said."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pcmamba.data.axes import LEAN_OF_CLASS, estimate_up_axis
from pcmamba.data.report import class_counts, keys_of
from pcmamba.data.structures import CloudSet

Verdict = Literal["ok", "note", "FAULT"]

_SCALE_RATIO = 1.5  # between the splits
_STRAY_RATIO = 20.0  # of one cloud to the median
_IMBALANCE = 50.0
_CLEARER = 0.15  # of accuracy, by which another reading must beat the given one
_LEAST_TEST = 20
_MOST_CLOUDS = 4000  # of a split that are compared


@dataclass(frozen=True)
class Finding:
    """One line of the table of checks.

    Attributes:
        check: What was looked at.
        verdict: "ok", "note" for what may be meant, "FAULT" for what spoils training or testing.
        detail: What was found, in words.
    """

    check: str
    verdict: Verdict
    detail: str


def find_faults(load: Callable[[str], CloudSet]) -> list[Finding]:
    """Load both splits and look for what is wrong with them.

    Files that cannot be read, coordinates that are not finite and labels out of range are what
    loading refuses: its message becomes the finding, and the other checks are left out.

    Raises:
        FileNotFoundError: The data are not there.
    """
    sets = []
    for split in ("train", "test"):
        try:
            sets.append(load(split))
        except ValueError as error:
            return [Finding("files, numbers, labels", "FAULT", f"{split}: {error}")]
    train, test = sets
    readable = Finding("files, numbers, labels", "ok", "all finite, all labels in range")
    return [readable, *_compare(train, test)]


def table(findings: list[Finding]) -> list[str]:
    """Return the findings as lines of a table with aligned columns."""
    rows = [("check", "result", "what was found")]
    rows += [(f.check, f.verdict, f.detail) for f in findings]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in rows]


def _compare(train: CloudSet, test: CloudSet) -> Iterator[Finding]:
    if train.class_names != test.class_names:
        yield Finding("classes", "FAULT", "train and test name different classes")
        return
    yield _classes(train, test)
    yield _balance(train)
    yield _duplicates(train, test)
    yield from _scale(train, test)
    yield _standing(train, test)
    yield from _readings(train, test)
    if train.part_labels is not None and test.part_labels is not None:
        yield _parts(train, test)


def _parts(train: CloudSet, test: CloudSet) -> Finding:
    first, second = (np.unique(np.asarray(s.part_labels)) for s in (train, test))
    new = [train.part_names[p] for p in np.setdiff1d(second, first)]
    if new:
        return Finding("part labels", "note", f"train has no points of {', '.join(new)}")
    detail = f"{len(first)} of {len(train.part_names)} occur in train, {len(second)} in test"
    whole = len(first) == len(train.part_names)
    return Finding("part labels", "ok" if whole else "note", detail)


def _classes(train: CloudSet, test: CloudSet) -> Finding:
    missing = _missing(train)
    if missing:
        return Finding("classes", "FAULT", f"train has no clouds of {', '.join(missing)}")
    if _missing(test):
        return Finding("classes", "note", f"test has no clouds of {', '.join(_missing(test))}")
    return Finding("classes", "ok", f"all {len(train.class_names)} in train and test")


def _missing(cloud_set: CloudSet) -> list[str]:
    pairs = zip(cloud_set.class_names, class_counts(cloud_set), strict=True)
    return [name for name, count in pairs if count == 0]


def _balance(train: CloudSet) -> Finding:
    counts = [count for count in class_counts(train) if count]
    ratio = max(counts) / min(counts)
    detail = f"{min(counts):,} to {max(counts):,} training clouds a class"
    return Finding("class balance", "note" if ratio > _IMBALANCE else "ok", detail)


def _duplicates(train: CloudSet, test: CloudSet) -> Finding:
    first, second = keys_of(train), keys_of(test)
    if train.keys is None and train.points.shape[1:] != test.points.shape[1:]:
        return Finding("duplicates", "note", "not searched: clouds of different sizes")
    shared = np.isin(second, first)
    if shared.any():
        name = test.ids[int(shared.argmax())]
        detail = f"{shared.sum():,} clouds of test are in train too, first {name}"
        return Finding("duplicates", "FAULT", detail)
    twice = len(first) - len(np.unique(first)) + len(second) - len(np.unique(second))
    if twice:
        return Finding("duplicates", "note", f"{twice:,} clouds come twice within a split")
    return Finding("duplicates", "ok", "no cloud comes twice")


def _scale(train: CloudSet, test: CloudSet) -> Iterator[Finding]:
    radii = [_radii(s) for s in (train, test)]
    medians = [float(np.median(r)) for r in radii]
    ratio = max(medians) / max(min(medians), 1e-30)
    detail = f"median radius {medians[0]:.4g} in train, {medians[1]:.4g} in test"
    # Scenes differ in size by their nature; objects of the same classes do not.
    fault: Verdict = "FAULT" if len(train.class_names) > 1 else "note"
    yield Finding("scale", fault if ratio > _SCALE_RATIO else "ok", detail)
    for cloud_set, r, median in zip((train, test), radii, medians, strict=True):
        stray = (r > median * _STRAY_RATIO) | (r * _STRAY_RATIO < median)
        if stray.any():
            name = cloud_set.ids[int(stray.argmax())]
            detail = f"{cloud_set.split}: {stray.sum():,} clouds far from the median, first {name}"
            yield Finding("scale of single clouds", "FAULT", detail)


def _radii(cloud_set: CloudSet) -> np.ndarray:
    points = cloud_set.points
    centred = points - points.mean(dim=1, keepdim=True)
    return np.asarray(centred.norm(dim=2).amax(dim=1).numpy(), np.float64)


def _standing(train: CloudSet, test: CloudSet) -> Finding:
    """Tell from the shapes whether they stand upright as loaded, where classes are known to."""
    found = {}
    for cloud_set in (train, test):
        try:
            points, labels = cloud_set.points.numpy(), cloud_set.labels.numpy()
            found[cloud_set.split] = estimate_up_axis(points, labels, cloud_set.class_names).axis
        except ValueError as error:
            if "heads" in str(error):
                return Finding("up axis", "FAULT", f"{cloud_set.split}: {error}")
    if not found:
        known = ", ".join(sorted(LEAN_OF_CLASS))
        return Finding("up axis", "note", f"not told by the shapes (known classes: {known})")
    wrong = [
        f"{split}: {axis} is up as loaded, not z" for split, axis in found.items() if axis != "z"
    ]
    if wrong:
        return Finding("up axis", "FAULT", "; ".join(wrong))
    return Finding("up axis", "ok", f"z, told by the shapes of {' and '.join(found)}")


def _readings(train: CloudSet, test: CloudSet) -> Iterator[Finding]:
    """Classify test by the nearest mean of train, as it is and with axes or labels exchanged.

    Shapes of a class resemble each other in how their points spread along the axes. If test fits
    train much better after an exchange of its axes, or with its labels shifted by one, then that
    is how it should have been read.
    """
    given = _Reading(train, test)
    if len(given.labels) < _LEAST_TEST or len(train.class_names) < 3:
        yield Finding("axes and labels", "note", f"not compared: {len(given.labels)} test clouds")
        return
    base = given.accuracy()
    axes = {order: given.accuracy(order) for order in itertools.permutations((0, 1, 2))}
    best = max(axes, key=lambda order: axes[order])
    said = f"nearest class mean fits {base:.0%}"
    if axes[best] > base + _CLEARER:
        order = "".join("xyz"[i] for i in best)
        detail = f"{said} of test, but {axes[best]:.0%} with its axes read as {order}"
        yield Finding("axes, test against train", "FAULT", detail)
    else:
        yield Finding("axes, test against train", "ok", f"{said}, no exchange fits better")
    shifts = {shift: given.accuracy(shift=shift) for shift in (-1, 1)}
    shift = max(shifts, key=lambda s: shifts[s])
    if shifts[shift] > base + _CLEARER:
        detail = f"{said} of test, but {shifts[shift]:.0%} with its labels changed by {shift:+d}"
        yield Finding("labels, test against train", "FAULT", detail)
    else:
        yield Finding("labels, test against train", "ok", f"{said}, no shift fits better")


class _Reading:
    """Spread of clouds along the axes, and which class of train has the nearest mean."""

    def __init__(self, train: CloudSet, test: CloudSet) -> None:
        features, labels = _features(train)
        self.features, self.labels = _features(test)
        self.classes = len(train.class_names)
        present = np.unique(labels)
        self.scale = features.std(axis=(0, 1), keepdims=False) + 1e-9
        self.present = present
        self.means = np.stack([features[labels == k].mean(axis=0) for k in present])

    def accuracy(self, order: tuple[int, ...] = (0, 1, 2), shift: int = 0) -> float:
        turned = self.features[:, list(order)]
        far = ((turned[:, None] - self.means[None]) / self.scale) ** 2
        nearest = self.present[far.sum(axis=(2, 3)).argmin(axis=1)]
        return float((nearest == (self.labels + shift) % self.classes).mean())


def _features(cloud_set: CloudSet) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles along each axis (S, 3, Q) of clouds centred and of radius 1, and labels."""
    step = -(-len(cloud_set) // _MOST_CLOUDS)
    points = cloud_set.points[::step].numpy().astype(np.float32)
    points = points - points.mean(axis=1, keepdims=True)
    radius = np.linalg.norm(points, axis=2).max(axis=1)
    points = np.sort(points, axis=1) / np.maximum(radius, 1e-30)[:, None, None]
    at = np.linspace(0, points.shape[1] - 1, 9).round().astype(int)
    return points[:, at].transpose(0, 2, 1), cloud_set.labels[::step].numpy()

"""What there is to say about any set of clouds before training on it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pcmamba.data.structures import CloudSet


def report_splits(train: CloudSet, test: CloudSet) -> list[str]:
    """Describe both splits: counts, classes, frame, size, order, duplicates and overlap.

    Raises:
        ValueError: The splits disagree on the classes, or an id is in both.
    """
    if train.class_names != test.class_names:
        raise ValueError("class_names must be the same in train and test, got two lists")
    shared = sorted(set(train.ids) & set(test.ids))
    if shared:
        raise ValueError(f"ids must be in one split, got {len(shared)} in both, first {shared[0]}")
    lines = [f"{train.name}: {len(train.class_names)} classes: {', '.join(train.class_names)}"]
    for cloud_set in (train, test):
        lines += _describe(cloud_set)
    return [*lines, *_overlap(train, test)]


def _describe(cloud_set: CloudSet) -> list[str]:
    split, counts = cloud_set.split, class_counts(cloud_set)
    empty = [n for n, c in zip(cloud_set.class_names, counts, strict=True) if c == 0]
    norms = cloud_set.points.norm(dim=2)
    radii = norms.amax(dim=1)
    offsets = cloud_set.points.mean(dim=1).norm(dim=1)
    twice = len(cloud_set) - len(np.unique(keys_of(cloud_set)))
    lines = [
        f"{split}: {len(cloud_set):,} clouds of {cloud_set.points.shape[1]:,} points, "
        f"{min(counts):,} to {max(counts):,} per class",
        f"{split}: {cloud_set.up_axis} up in the files, z up as loaded",
        f"{split}: largest distance from zero {radii.min():.4g} to {radii.max():.4g}, "
        f"centres up to {offsets.max():.2g} from zero",
        f"{split}: {'identical clouds: ' + str(twice) if twice else 'no identical clouds'}",
        f"{split}: {_order(cloud_set)}",
        *(f"{split}: {note}" for note in cloud_set.notes),
    ]
    if empty:
        lines.append(f"{split}: no clouds of {', '.join(empty)}")
    return lines


def class_counts(cloud_set: CloudSet) -> list[int]:
    """Return the number of clouds of each class."""
    counts: list[int] = cloud_set.labels.bincount(minlength=len(cloud_set.class_names)).tolist()
    return counts


def _order(cloud_set: CloudSet) -> str:
    if bool((cloud_set.labels.diff() >= 0).all()):
        return "sorted by class, which hides a model that depends on its batch"
    return "classes are mixed"


def _overlap(train: CloudSet, test: CloudSet) -> list[str]:
    known = train.keys is not None and test.keys is not None
    if not known and train.points.shape[1:] != test.points.shape[1:]:
        return ["train and test differ in points per cloud; overlap was not searched"]
    shared = np.isin(keys_of(test), keys_of(train))
    if not shared.any():
        return ["train and test share no cloud"]
    return [f"clouds of test that are also in train: {shared.sum()}"]


def keys_of(cloud_set: CloudSet) -> np.ndarray:
    """Return the keys of the whole clouds where the set has them, or of its points."""
    if cloud_set.keys is not None:
        return cloud_set.keys.cpu().numpy().view(np.uint64)
    return cloud_keys(cloud_set.points)


def cloud_keys(points: Tensor) -> np.ndarray:
    """Return a 64-bit key per cloud (S, N, 3) float32 that does not depend on the order of points.

    Equal clouds have equal keys; different ones differ but for a chance of about 2^-64 a pair.
    """
    bits = points.contiguous().cpu().numpy().view(np.uint32).astype(np.uint64)
    keys = np.zeros(bits.shape[:2], np.uint64)
    for axis in range(3):  # each axis is mixed in before the next, so that (x, y) is not (y, x)
        keys = _mix(keys ^ bits[..., axis])
    total: np.ndarray = keys.sum(axis=1, dtype=np.uint64)
    return total


def _mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words. Source: Steele et al., Fast splittable generators (2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed

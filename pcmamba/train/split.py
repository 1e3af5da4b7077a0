"""Which recordings of a training split are kept apart for validation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.random import permutation


def validation_split(data_set: LabelledSet, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split a set's indices into (rest, part): by groups where the set names them, else by class.

    The same set, fraction and seed give the same split; both are ascending int64.
    """
    groups = getattr(data_set, "groups", None)
    if groups is None:
        return stratified_split(data_set.labels, fraction, seed)
    return group_split(data_set.labels, groups, fraction, seed)


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split indices class by class into (rest, part), both ascending int64.

    `part` has `fraction` of each class, rounded, at least one and never all; a class with a single
    member stays whole in `rest`. The same labels, fraction and seed give the same split.
    """
    labels = labels.cpu()
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in torch.unique(labels) if fraction > 0 else ():
        members = (labels == label).nonzero().squeeze(1)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        shuffled = permutation(seed, 0, label, "validation split", len(members))
        chosen[members[shuffled[:count]]] = True
    return (~chosen).nonzero().squeeze(1), chosen.nonzero().squeeze(1)


def group_split(
    labels: Tensor, groups: Sequence[str], fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Split indices into (rest, part) so that no group, a subject for example, is in both.

    Whole groups are taken in an order drawn by `seed`. A group is passed over where `part` would
    become larger than `fraction` of all, but for the first that is taken, and where a class would
    leave `rest`. Where there is no group to take, `part` is empty.
    """
    labels, names = labels.cpu(), sorted(set(groups))
    member = torch.tensor([names.index(group) for group in groups])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    order = permutation(seed, 0, torch.zeros((), dtype=torch.int64), "validation split", len(names))
    most, classes = fraction * len(labels), len(torch.unique(labels))
    for group in order.tolist() if fraction > 0 else ():
        more = chosen | (member == group)
        fits = int(more.sum()) <= most or not chosen.any()
        if fits and len(torch.unique(labels[~more])) == classes:
            chosen = more
    return (~chosen).nonzero().squeeze(1), chosen.nonzero().squeeze(1)

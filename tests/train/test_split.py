"""Validation splits by class and by group."""

from __future__ import annotations

import pytest
import torch

from pcmamba.testing.moving_dots import event_set
from pcmamba.train.split import group_split, stratified_split, validation_split

LABELS = torch.tensor([0] * 20 + [1] * 10 + [2] * 3 + [3])


def test_split_takes_its_share_of_every_class():
    rest, part = stratified_split(LABELS, 0.2, seed=0)
    assert LABELS[part].bincount(minlength=4).tolist() == [4, 2, 1, 0]
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(34))


def test_split_is_a_function_of_the_seed():
    again = [stratified_split(LABELS, 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


def test_no_split_takes_nothing():
    rest, part = stratified_split(LABELS, 0.0, seed=0)
    assert (len(rest), len(part)) == (34, 0)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(seed):
    labels = torch.arange(40) % 4
    groups = [f"subject {i // 5}" for i in range(40)]
    rest, part = group_split(labels, groups, 0.25, seed)
    assert {groups[i] for i in rest}.isdisjoint({groups[i] for i in part})
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(40))
    assert len(part) == 10, "two subjects of five recordings each are a quarter"


def test_a_group_larger_than_the_share_is_still_taken_but_never_a_whole_class():
    labels, groups = torch.tensor([0, 0, 0, 1, 1, 1]), "aabbbc"
    for seed in range(4):
        rest, part = group_split(labels, groups, 0.1, seed)
        assert len(part) > 0
        assert set(labels[rest].tolist()) == {0, 1}
    assert len(group_split(torch.tensor([0, 1]), "ab", 0.5, 0)[1]) == 0
    assert len(group_split(labels, groups, 0.0, 0)[1]) == 0


def test_a_set_with_groups_is_split_by_them():
    events = event_set(groups=True)
    rest, part = validation_split(events, 0.25, seed=0)
    assert len(part) == 6
    assert not {events.groups[i] for i in rest} & {events.groups[i] for i in part}
    plain = event_set()
    assert torch.equal(
        validation_split(plain, 0.25, 0)[1], stratified_split(plain.labels, 0.25, 0)[1]
    )

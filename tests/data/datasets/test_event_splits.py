from __future__ import annotations

from pathlib import Path

import pytest

from pcmamba.data.datasets.event_files import Labelled
from pcmamba.data.datasets.event_splits import OwnSplit, split_by_class, split_by_group


def files(people: int = 10, classes: int = 3) -> list[Labelled]:
    return [
        Labelled(Path(f"c{k}/s{person}_{k}.2.aedat"), k, f"c{k}/s{person}", f"s{person}")
        for k in range(classes)
        for person in range(people)
    ]


def test_people_are_on_one_side(tmp_path):
    made = files()
    sides = [OwnSplit(seed=4).divide(made, split, tmp_path) for split in ("train", "test")]
    groups = [{file.group for file in chosen} for chosen, _ in sides]
    assert not groups[0] & groups[1] and len(groups[1]) == 2
    assert len(sides[0][0]) + len(sides[1][0]) == len(made)
    assert sides[0][1] == ("split drawn with seed 4, no person on both sides",)
    # The draw depends on the names, not on the order of the files.
    again = OwnSplit(seed=4).divide(made[::-1], "test", tmp_path)[0]
    assert {file.name for file in again} == {file.name for file in sides[1][0]}
    seeds = {
        frozenset(made[i].group for i in split_by_group(made, 0.2, s, "test")) for s in range(9)
    }
    assert len(seeds) > 3
    with pytest.raises(ValueError, match="at least two groups"):
        split_by_group(files(people=1), 0.2, 0, "train")


def test_without_people_each_class_is_divided():
    made = [Labelled(Path(f"{i}.bin"), i % 3, str(i)) for i in range(31)]
    train, test = (split_by_class(made, 0.2, 0, split) for split in ("train", "test"))
    assert sorted(train + test) == list(range(31))
    assert [sum(made[i].label == k for i in test) for k in range(3)] == [2, 2, 2]
    pair = [Labelled(Path("a"), 0, "a"), Labelled(Path("b"), 0, "b")]
    assert len(split_by_class(pair, 0.9, 0, "train")) == 1


def test_lists_name_files_in_any_way(tmp_path):
    made = files(people=3, classes=2)
    (tmp_path / "train.txt").write_bytes(
        b"/data/PAF/c0/s0_0.2.aedat 0\r\nc1\\s1_1.2.aedat,1\r\n\r\ns2_0.2 8 0"
    )
    (tmp_path / "test.txt").write_text("s1_0.2.aedat\n")
    own = OwnSplit(train_list="train.txt", test_list="test.txt")
    chosen, notes = own.divide(made, "train", tmp_path)
    assert [file.name for file in chosen] == ["c0/s0", "c1/s1", "c0/s2"]
    # s1 is on both sides: said, and not called a group that is kept apart.
    assert notes[1] == "1 people are in both lists, so test knows them"
    assert {file.group for file in chosen} == {""}
    assert [file.name for file in own.divide(made, "test", tmp_path)[0]] == ["c0/s1"]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ("s9_0.2", "s1_0.2", r"train\.txt: a line must name one recording, got 's9_0\.2'"),
        ("s1_0.2\ns1_0.2.aedat", "s2_0.2", "files must be listed once, got c0/s1 again"),
        ("s1_0.2", "s1_0.2", "files must be in one list, got c0/s1 in both"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, train, test, said):
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    own = OwnSplit(train_list="train.txt", test_list="test.txt")
    with pytest.raises(ValueError, match=said):
        own.divide(files(people=3, classes=1), "train", tmp_path)


def test_options_are_checked(tmp_path):
    with pytest.raises(ValueError, match="must be given together"):
        OwnSplit(train_list="a")
    with pytest.raises(ValueError, match="test_fraction must be between 0 and 1, got 1"):
        OwnSplit(test_fraction=1)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        OwnSplit(seed=-1)
    with pytest.raises(ValueError, match="split must be train or test, got 'val'"):
        OwnSplit().divide(files(), "val", tmp_path)
    with pytest.raises(FileNotFoundError, match="a list of files must lie at"):
        OwnSplit(train_list="a", test_list="b").divide(files(), "train", tmp_path)

"""Train and test for sets that have no official split: drawn with a seed, or from lists."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pcmamba.data.datasets.event_files import Labelled, check_split
from pcmamba.data.listing import last_part, read_text_list


@dataclass(frozen=True)
class OwnSplit:
    """Options of a set that has no official split.

    Args:
        root: The folder of the files.
        train_list: A text file, below the root or elsewhere, that names the training files.
        test_list: The same of the test files; both lists or none.
        test_fraction: Without lists, the share of test: of people where they are known, so that
            none is on both sides, or else of the recordings of each class.
        seed: Of that draw.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: A number is out of range, or one list is missing.
    """

    root: str | None = None
    train_list: str | None = None
    test_list: str | None = None
    test_fraction: float = 0.2
    seed: int = 0
    strict: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"test_fraction must be between 0 and 1, got {self.test_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        if (self.train_list is None) != (self.test_list is None):
            raise ValueError("train_list and test_list must be given together, got one")

    def divide(
        self, files: Sequence[Labelled], split: str, root: Path
    ) -> tuple[list[Labelled], tuple[str, ...]]:
        """Return the files of a split, and how it was made, in words."""
        check_split(split, ("train", "test"))
        if self.train_list is not None and self.test_list is not None:
            return _by_lists(files, split, root / self.train_list, root / self.test_list)
        grouped = all(file.group for file in files)
        draw = split_by_group if grouped else split_by_class
        chosen = draw(files, self.test_fraction, self.seed, split)
        how = "no person on both sides" if grouped else "class by class"
        return [files[i] for i in chosen], (f"split drawn with seed {self.seed}, {how}",)


def _by_lists(
    files: Sequence[Labelled], split: str, train_list: Path, test_list: Path
) -> tuple[list[Labelled], tuple[str, ...]]:
    train, test = (split_by_list(files, path) for path in (train_list, test_list))
    both = sorted(set(train) & set(test))
    if both:
        raise ValueError(f"files must be in one list, got {files[both[0]].name} in both")
    chosen = [files[i] for i in (train if split == "train" else test)]
    notes = [f"split by the lists {train_list.name} and {test_list.name}"]
    shared = {files[i].group for i in train} & {files[i].group for i in test} - {""}
    if shared:
        # What the lists say is taken as it is, but no one shall believe the people are new.
        chosen = [replace(file, group="") for file in chosen]
        notes.append(f"{len(shared)} people are in both lists, so test knows them")
    return chosen, tuple(notes)


def split_by_group(files: Sequence[Labelled], fraction: float, seed: int, split: str) -> list[int]:
    """Return the indices of a split in which no group is on both sides.

    Args:
        files: All files, each with its group.
        fraction: Share of the groups that goes to test, rounded, at least one and never all.
        seed: Of the draw, which depends on the groups' names alone.
        split: "train" or "test".

    Raises:
        ValueError: There are fewer than two groups.
    """
    groups = sorted({file.group for file in files})
    if len(groups) < 2:
        raise ValueError(f"recordings must be of at least two groups to split, got {groups}")
    count = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
    order = np.random.default_rng([seed, len(groups)]).permutation(len(groups))
    test = {groups[i] for i in order[:count]}
    return [i for i, file in enumerate(files) if (file.group in test) == (split == "test")]


def split_by_class(files: Sequence[Labelled], fraction: float, seed: int, split: str) -> list[int]:
    """Return the indices of a split that takes `fraction` of each class, drawn by its name.

    Of a class with at least two recordings at least one goes to either side.
    """
    test: set[int] = set()
    for label in sorted({file.label for file in files}):
        members = [i for i, file in enumerate(files) if file.label == label]
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        key = zlib.crc32(f"{label}".encode())
        order = np.random.default_rng([seed, key]).permutation(len(members))
        test.update(members[i] for i in order[:count])
    return [i for i in range(len(files)) if (i in test) == (split == "test")]


def split_by_list(files: Sequence[Labelled], path: Path) -> list[int]:
    """Return the indices of the files that a text list names, in the order of the list.

    A line names a file by its path, of which the last part counts, with or without its extension;
    where two files share a name, the folder before it counts too. Numbers behind it are left out.

    Raises:
        FileNotFoundError: There is no list.
        ValueError: A line names no file, or several, or a file comes twice; the line is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"a list of files must lie at {path}, found none")
    places = _places(files)
    chosen: list[int] = []
    for line in read_text_list(path):
        found = next((places[name] for name in _names_in(line) if name in places), [])
        if len(found) != 1:
            raise ValueError(f"{path}: a line must name one recording, got {line!r} for {found}")
        chosen += found
    if len(set(chosen)) < len(chosen):
        twice = next(i for i in chosen if chosen.count(i) > 1)
        raise ValueError(f"{path}: files must be listed once, got {files[twice].name} again")
    return chosen


def _places(files: Sequence[Labelled]) -> dict[str, list[int]]:
    """Return the files behind each way to name them."""
    places: dict[str, list[int]] = {}
    for i, file in enumerate(files):
        path = file.path
        for name in {path.name, _stem(path.name)}:
            places.setdefault(name, []).append(i)
            places.setdefault(f"{path.parent.name}/{name}", []).append(i)
    return places


def _names_in(line: str) -> list[str]:
    """Return the names that a line may mean, the longest first."""
    path = re.sub(r"([\s,]+-?\d+)+$", "", line).strip().replace("\\", "/")
    parts = path.split("/")
    short = [last_part(path), _stem(last_part(path))]
    return [*(f"{parts[-2]}/{name}" for name in short if len(parts) > 1), *short]


def _stem(name: str) -> str:
    """Return a name without the ending of a recording; other dots belong to it."""
    return re.sub(r"\.(aedat4?|npz|npy|h5|bin|bs2)$", "", name, flags=re.IGNORECASE)

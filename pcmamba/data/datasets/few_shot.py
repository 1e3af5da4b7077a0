"""Few-shot folds: a handful of classes with a handful of clouds each, drawn from a labelled set.

The usual protocol on ModelNet40 has 5 or 10 ways, 10 or 20 shots, 20 query clouds a class and ten
folds. Shots come from the set's training split and queries from its test split. A fold is a
function of (seed, fold), so that models are compared on the same clouds.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pcmamba.data.datasets import DATASETS
from pcmamba.data.random import permutation
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet


@DATASETS.register("few_shot")
@dataclass(frozen=True)
class FewShot:
    """One fold of a few classes and clouds, drawn by a seed from another data set.

    Args:
        root: Folder of the set drawn from.
        base: Its name.
        way: Classes.
        shot: Training clouds of each class.
        query: Test clouds of each class.
        fold: Which draw.
        seed: Of all folds.
        base_options: Further options of the set drawn from.

    Raises:
        ValueError: A number is below 1 (`fold`: below 0), or `base` is a few-shot set itself.
    """

    root: str | None = None
    base: str = "modelnet40"
    way: int = 5
    shot: int = 10
    query: int = 20
    fold: int = 0
    seed: int = 0
    base_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("way", 1), ("shot", 1), ("query", 1), ("fold", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.base == "few_shot":
            raise ValueError("base must be a whole data set, got 'few_shot'")

    def load(self, split: str) -> CloudSet:
        """Draw the shots ("train") or the queries ("test") of the fold.

        Raises:
            ValueError: Unknown split, or the set has too few classes or clouds for the draw.
        """
        if split not in ("train", "test"):
            raise ValueError(f"split must be train or test, got {split!r}")
        whole = _load(self.base, self.root, split, tuple(sorted(self.base_options.items())))
        wanted = self.shot if split == "train" else self.query
        classes = self._classes(whole)
        rows = [self._clouds(whole, label, wanted, split) for label in classes]
        index = torch.cat(rows)
        labels = torch.arange(self.way).repeat_interleave(wanted)
        changes = {
            entry.name: getattr(whole, entry.name)[index]
            for entry in dataclasses.fields(whole)
            if isinstance(getattr(whole, entry.name), Tensor)
        }
        return dataclasses.replace(
            whole,
            **(changes | {"labels": labels}),
            ids=tuple(whole.ids[i] for i in index.tolist()),
            class_names=tuple(whole.class_names[label] for label in classes),
            name=f"few_shot {self.way}-way {self.shot}-shot of {self.base}",
            notes=(*whole.notes, f"fold {self.fold} of seed {self.seed}"),
        )

    def check(self) -> list[str]:
        """Draw both parts and describe them.

        Raises:
            ValueError: As `load`.
        """
        return report_splits(self.load("train"), self.load("test"))

    @classmethod
    def make_fake(cls, root: str) -> FewShot:
        """Make a tiny fold of a tiny fake of the base set."""
        base = DATASETS[cls.base].make_fake(root)
        options = {e.name: getattr(base, e.name) for e in dataclasses.fields(base)}
        return cls(options.pop("root"), way=3, shot=2, query=1, base_options=options)

    def _classes(self, whole: CloudSet) -> list[int]:
        """Draw the classes, the same ones for both splits."""
        names = len(whole.class_names)
        if self.way > names:
            raise ValueError(f"way must be at most the {names} classes of the set, got {self.way}")
        drawn = permutation(self.seed, self.fold, torch.tensor(0), "few-shot classes", names)
        return [int(label) for label in drawn[: self.way]]

    def _clouds(self, whole: CloudSet, label: int, wanted: int, split: str) -> Tensor:
        members = (whole.labels == label).nonzero().squeeze(1)
        if len(members) < wanted:
            name = "shot" if split == "train" else "query"
            raise ValueError(
                f"{name} must be at most the {len(members)} {split} clouds of "
                f"{whole.class_names[label]}, got {wanted}"
            )
        drawn = permutation(
            self.seed, self.fold, torch.tensor(label), f"few-shot {split}", len(members)
        )
        return members[drawn[:wanted]]


@functools.lru_cache(maxsize=2)
def _load(
    base: str, root: str | None, split: str, options: tuple[tuple[str, Any], ...]
) -> CloudSet:
    """Keep both splits of the whole set: ten folds read them once."""
    loaded: CloudSet = DATASETS[base](root=root, **dict(options)).load(split)
    return loaded

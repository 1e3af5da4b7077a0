"""`shapes`: built-in clouds of parametric solids, made from a seed. Synthetic, not measured.

Sixteen families (airplane … table) with proportions drawn wide, every axis stretched on its own,
turned about the up axis, and scanned badly: parts missing, uneven density, noise, outliers. A
nearest neighbour on extents, pair distances and height quantiles is right about half the time
(tests/data/datasets/test_shapes.py); a small network passes 90 % within minutes on a CPU.

Cloud k of a split is made from (seed, split, k) alone and has class k mod 16, so a smaller set is
the beginning of a larger one, and classes are balanced and mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.datasets import DATASETS
from pcmamba.data.shapes import FAMILIES, Defects, Dice, Scan, scan
from pcmamba.data.structures import CloudSet

_SPLITS = {"train": 0, "test": 1}


@DATASETS.register("shapes")
@dataclass(frozen=True)
class Shapes:
    """Generated clouds of simple solids with normals, class and part labels; z up, no files.

    Args:
        root: Not used, there is nothing on disk.
        train_size: Clouds in the train split.
        test_size: Clouds in the test split, made from other keys than the train split.
        num_points: Points per cloud, centred on their mean, the farthest at distance 1.
        seed: At least 0; another seed gives other clouds.
        stretch: Each axis is multiplied by a factor from 1 / stretch to stretch, at least 1.
        defects: How bad the scans are.

    Raises:
        ValueError: A number is out of range, or (`load`) the split is unknown.
    """

    root: str | None = None
    train_size: int = 2400
    test_size: int = 600
    num_points: int = 1024
    seed: int = 0
    stretch: float = 2.0
    defects: Defects = field(default_factory=Defects)

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")

    def load(self, split: str) -> CloudSet:
        """Generate a split: about 2 ms a cloud."""
        if split not in _SPLITS:
            raise ValueError(f"split must be one of {', '.join(_SPLITS)}, got {split!r}")
        size = self.train_size if split == "train" else self.test_size
        names, parts = tuple(FAMILIES), part_names()
        labels = np.arange(size) % len(names)
        scans = [self._make(split, index, names[labels[index]]) for index in range(size)]
        first = {name: parts.index(f"{name}/{FAMILIES[name].parts[0]}") for name in names}
        return CloudSet(
            points=_stack([s.points for s in scans]).float(),
            labels=torch.from_numpy(labels),
            class_names=names,
            ids=tuple(f"shapes-{self.seed}-{split}-{index:05d}" for index in range(size)),
            name="shapes (synthetic)",
            split=split,
            up_axis="z",
            normals=_stack([s.normals for s in scans]).float(),
            part_labels=_stack(
                [s.part + first[names[k]] for s, k in zip(scans, labels, strict=True)]
            ),
            part_names=parts,
            synthetic=True,
            notes=(f"synthetic clouds generated from seed {self.seed}",),
        )

    def check(self) -> list[str]:
        """Say what the set holds; there are no files that could be wrong."""
        return [
            "shapes: synthetic, generated from parametric solids, no files",
            f"classes: {len(FAMILIES)}, parts: {len(part_names())}, up axis: z",
            f"train: {self.train_size} clouds, test: {self.test_size} clouds, "
            f"{self.num_points} points each, seed {self.seed}",
        ]

    @classmethod
    def make_fake(cls, root: str | None) -> Shapes:
        """Return a small set for tests."""
        return cls(root, train_size=32, test_size=16, num_points=64)

    def _make(self, split: str, index: int, family: str) -> Scan:
        dice = Dice(self.seed, _SPLITS[split], index)
        mesh = FAMILIES[family].build(dice)
        x, y, z = (dice.uniform(1.0, self.stretch) for _ in range(3))
        x, y, z = (1.0 / factor if dice.chance(0.5) else factor for factor in (x, y, z))
        mesh = mesh.scaled(x, y, z).turned(dice.uniform(0.0, 1.0))
        return scan(mesh, self.num_points, self.defects, dice)


_LEAST = {"train_size": 1, "test_size": 1, "num_points": 8, "seed": 0, "stretch": 1}


def part_names() -> tuple[str, ...]:
    """Return "family/part" for every part; a family's parts are neighbours."""
    return tuple(f"{name}/{part}" for name in FAMILIES for part in FAMILIES[name].parts)


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))

"""ShapeNet55: 52,470 CAD shapes without labels of their own, for pre-training.

Licence: ShapeNet's terms, research. `ShapeNet-55/{train,test}.txt` name the arrays (8192, 3) under
`shapenet_pc/`; the first part of a name is the synset, taken as the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.listing import last_part, read_text_list
from pcmamba.data.readers import read_points
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet

URL = "https://shapenet.org"
LICENCE = "research (ShapeNet)"
COUNTS = {"train": 41952, "test": 10518}


@DATASETS.register("shapenet55")
@dataclass(frozen=True)
class ShapeNet55:
    """CAD shapes named by synset, centred, largest norm 1, brought to z up.

    Args:
        root: The folder ShapeNet55-34, or the one above it.
        num_points: Points of each cloud; of more, a subset is drawn.
        seed: Of that draw.
        up_axis: Axis that points up in the files.

    Raises:
        ValueError: A number or axis is out of range.
    """

    root: str | None = None
    num_points: int = 1024
    seed: int = 0
    up_axis: str = "y"

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of its list; other counts than the usual are noted.

        Raises:
            ValueError: Unknown split, or a file that cannot be read.
            FileNotFoundError: The folder, a list or a listed file is missing.
        """
        if split not in COUNTS:
            raise ValueError(f"split must be train or test, got {split!r}")
        folder = self._folder()
        ids = [last_part(line) for line in read_text_list(folder / "ShapeNet-55" / f"{split}.txt")]
        if not ids:
            raise ValueError(f"{folder}: {split}.txt must have at least one line, got none")
        both = [
            last_part(line)
            for name in COUNTS
            for line in read_text_list(folder / "ShapeNet-55" / f"{name}.txt")
        ]
        names = tuple(sorted({name.partition("-")[0] for name in both}))
        clouds = [read_points(folder / "shapenet_pc" / name).xyz for name in ids]
        points = [
            _unit(c[choose_points(len(c), self.num_points, self.seed, name)])
            for c, name in zip(clouds, ids, strict=True)
        ]
        notes = []
        if len(ids) != COUNTS[split]:
            notes.append(f"{len(ids):,} shapes where the usual list has {COUNTS[split]:,}")
        return CloudSet(
            points=torch.from_numpy(to_z_up(np.stack(points), self.up_axis).copy()),
            labels=torch.tensor([names.index(name.partition("-")[0]) for name in ids]),
            class_names=names,
            ids=tuple(name.removesuffix(".npy") for name in ids),
            name="shapenet55",
            split=split,
            up_axis=self.up_axis,
            keys=stack_keys(clouds),
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> ShapeNet55:
        """Write three synsets of three small shapes."""
        rng = np.random.default_rng(0)
        folder = Path(root) / "ShapeNet55-34"
        (folder / "ShapeNet-55").mkdir(parents=True, exist_ok=True)
        (folder / "shapenet_pc").mkdir(exist_ok=True)
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for synset in ("02691156", "02747177", "03001627"):
            for number in range(3):
                name = f"{synset}-{number:032x}.npy"
                lists["test" if number == 2 else "train"].append(name)
                np.save(folder / "shapenet_pc" / name, rng.random((24, 3)).astype(np.float32))
        for split, lines in lists.items():
            (folder / "ShapeNet-55" / f"{split}.txt").write_text("\n".join(lines))
        return cls(root, num_points=16)

    def _folder(self) -> Path:
        if self.root is not None:
            for folder in (Path(self.root), Path(self.root) / "ShapeNet55-34"):
                if (folder / "ShapeNet-55" / "train.txt").is_file():
                    return folder
        raise FileNotFoundError(
            f"root must be the folder ShapeNet55-34 with ShapeNet-55/train.txt, got {self.root}; "
            f"see {URL}"
        )


def _unit(xyz: np.ndarray) -> np.ndarray:
    centred = xyz - xyz.mean(axis=0, dtype=np.float64)
    largest = np.linalg.norm(centred, axis=1).max() or 1.0
    unit: np.ndarray = (centred / largest).astype(np.float32)
    return unit

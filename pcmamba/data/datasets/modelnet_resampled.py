"""ModelNet40 and ModelNet10 as text files with normals (`modelnet40_normal_resampled`).

Licence: Princeton's terms, academic use. 10,000 points a shape in rows x,y,z,nx,ny,nz; y is up, and
the frame is a mirror image of the meshes': its (x, y, z) are their (x, z, y).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.modelnet40 import CLASS_NAMES, COUNTS, LICENCE, URL
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.listing import read_text_list
from pcmamba.data.readers import read_points
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet

FOLDER = "modelnet40_normal_resampled"
COLUMNS = ("x", "y", "z", "nx", "ny", "nz")
COUNTS_10 = {"train": 3991, "test": 908}


@DATASETS.register("modelnet40_resampled")
@dataclass(frozen=True)
class ModelNetResampled:
    """CAD shapes with normals from the folder modelnet40_normal_resampled, brought to z up.

    Reading 12,311 text files takes minutes; `pcmamba data prepare` does it once.

    Args:
        root: That folder or the one above it.
        classes: 40, or 10 for the subset of ModelNet10's classes.
        num_points: Points of each cloud; of more, a subset is drawn.
        seed: Of that draw.
        up_axis: Axis that points up in the files.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: A number or axis is none of these.
    """

    root: str | None = None
    classes: int = 40
    num_points: int = 1024
    seed: int = 0
    up_axis: str = "y"
    strict: bool = True

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        if self.classes not in (40, 10):
            raise ValueError(f"classes must be 40 or 10, got {self.classes}")
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of its list.

        Raises:
            ValueError: Unknown split, a file that cannot be read, an id of no class, other counts.
            FileNotFoundError: The folder, a list or a listed file is missing.
        """
        if split not in COUNTS:
            raise ValueError(f"split must be train or test, got {split!r}")
        folder, prefix = self._folder(), f"modelnet{self.classes}"
        names = tuple(_lines(folder / f"{prefix}_shape_names.txt"))
        ids = _lines(folder / f"{prefix}_{split}.txt")
        notes = self._compare(folder, split, ids)
        # The name of a class may hold underscores: what counts is all before the last one.
        kinds = [name.rpartition("_")[0] for name in ids]
        strange = [i for i, kind in zip(ids, kinds, strict=True) if kind not in names]
        if strange:
            raise ValueError(f"{folder}: ids must begin with a class, got {strange[0]!r}")
        points, normals, keys = self._read(folder, ids, kinds)
        return CloudSet(
            points=points,
            labels=torch.tensor([names.index(kind) for kind in kinds]),
            class_names=names,
            ids=tuple(ids),
            name=f"modelnet{self.classes}_resampled",
            split=split,
            up_axis=self.up_axis,
            normals=normals,
            keys=keys,
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> ModelNetResampled:
        """Write two training shapes and one test shape of each class, and the lists."""
        folder = Path(root) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        ids = {"train": [], "test": []}  # type: dict[str, list[str]]
        for name in CLASS_NAMES:
            (folder / name).mkdir(exist_ok=True)
            for number in (1, 2, 3):
                ids["test" if number == 3 else "train"].append(f"{name}_{number:04d}")
                rows = rng.standard_normal((12, 6)).astype(np.float32)
                text = "\n".join(",".join(f"{v:.6f}" for v in row) for row in rows)
                (folder / name / f"{name}_{number:04d}.txt").write_text(text)
        for split, lines in ids.items():
            (folder / f"modelnet40_{split}.txt").write_text("\r\n".join(lines))
        (folder / "modelnet40_shape_names.txt").write_text("\n".join(CLASS_NAMES))
        return cls(root, num_points=10, strict=False)

    def _folder(self) -> Path:
        if self.root is not None:
            for folder in (Path(self.root), Path(self.root) / FOLDER):
                if (folder / f"modelnet{self.classes}_shape_names.txt").is_file():
                    return folder
        raise FileNotFoundError(
            f"root must be the folder {FOLDER} with modelnet{self.classes}_shape_names.txt, got "
            f"{self.root}"
        )

    def _compare(self, folder: Path, split: str, ids: list[str]) -> list[str]:
        wanted = sum(COUNTS[split]) if self.classes == 40 else COUNTS_10[split]
        faults = []
        if len(ids) != wanted:
            faults.append(f"{len(ids):,} shapes for {wanted:,}")
        if len(set(ids)) != len(ids):
            faults.append(f"{len(ids) - len(set(ids))} repeated ids")
        if faults and self.strict:
            raise ValueError(
                f"{folder}: {split} must be the official split, got {'; '.join(faults)}; "
                "strict=False takes it as it is"
            )
        return faults

    def _read(
        self, folder: Path, ids: list[str], kinds: list[str]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        points, normals, keys = [], [], []
        for name, kind in zip(ids, kinds, strict=True):
            cloud = read_points(folder / kind / f"{name}.txt", columns=COLUMNS)
            index = choose_points(len(cloud), self.num_points, self.seed, name)
            assert cloud.normals is not None  # the columns name them
            points.append(to_z_up(cloud.xyz[index], self.up_axis))
            normals.append(to_z_up(cloud.normals[index], self.up_axis))
            keys.append(stack_keys([cloud.xyz]))
        stacked = (torch.from_numpy(np.stack(part)) for part in (points, normals))
        return (*stacked, torch.cat(keys))  # type: ignore[return-value]


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there, found none")
    lines = read_text_list(path)
    if not lines:
        raise ValueError(f"{path} must have at least one line, got none")
    return lines

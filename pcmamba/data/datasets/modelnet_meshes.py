"""ModelNet40 and ModelNet10 as OFF meshes: <class>/{train,test}/<id>.off.

Licence: Princeton's terms, academic use. Meshes have any scale, z up, and windings that cannot be
relied on, so normals may point inwards. Points are drawn by area, with a seed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.modelnet40 import CLASS_NAMES, COUNTS, LICENCE, URL
from pcmamba.data.datasets.stack import stack_keys
from pcmamba.data.listing import visible
from pcmamba.data.readers import read_points
from pcmamba.data.report import report_splits
from pcmamba.data.sample_mesh import sample_mesh
from pcmamba.data.structures import CloudSet

NAMES_10 = (
    "bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table",
    "toilet",
)  # fmt: skip
COUNTS_10 = {"train": 3991, "test": 908}


@DATASETS.register("modelnet40_meshes")
@dataclass(frozen=True)
class ModelNet40Meshes:
    """OFF meshes of 40 classes, sampled by area with normals, centred, largest norm 1.

    Args:
        root: The folder of the class folders, or the one above it.
        num_points: Points drawn from each mesh.
        seed: Of the draw, with the file's name.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: `num_points` is below 1.
    """

    root: str | None = None
    num_points: int = 1024
    seed: int = 0
    strict: bool = True

    FOLDER: ClassVar[str] = "ModelNet40"
    NAMES: ClassVar[tuple[str, ...]] = CLASS_NAMES
    TOTALS: ClassVar[dict[str, int]] = {split: sum(counts) for split, counts in COUNTS.items()}

    def __post_init__(self) -> None:
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def load(self, split: str) -> CloudSet:
        """Read and sample the meshes of a split, class by class in the order of their numbers.

        Raises:
            ValueError: Unknown split, a mesh that cannot be read, or other counts.
            FileNotFoundError: A folder is missing.
        """
        if split not in COUNTS:
            raise ValueError(f"split must be train or test, got {split!r}")
        files = [(n, path) for n, name in enumerate(self.NAMES) for path in self._list(name, split)]
        notes = []
        if len(files) != self.TOTALS[split]:
            fault = f"{split} must have {self.TOTALS[split]:,} meshes, got {len(files):,}"
            if self.strict:
                raise ValueError(f"{self.root}: {fault}; strict=False takes them as they are")
            notes.append(fault)
        meshes = [read_points(path) for _, path in files]
        clouds = [
            sample_mesh(mesh, self.num_points, zlib.crc32(f"{self.seed} {path.stem}".encode()))
            for mesh, (_, path) in zip(meshes, files, strict=True)
        ]
        return CloudSet(
            points=torch.from_numpy(np.stack([_unit(cloud.xyz) for cloud in clouds])),
            labels=torch.tensor([number for number, _ in files]),
            class_names=self.NAMES,
            ids=tuple(path.stem for _, path in files),
            name=self.FOLDER.lower() + "_meshes",
            split=split,
            up_axis="z",
            normals=torch.from_numpy(np.stack([np.asarray(cloud.normals) for cloud in clouds])),
            keys=stack_keys([mesh.xyz for mesh in meshes]),
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> ModelNet40Meshes:
        """Write two training meshes and one test mesh of each class."""
        rng = np.random.default_rng(0)
        for name in cls.NAMES:
            for number in (1, 2, 3):
                split = "test" if number == 3 else "train"
                path = Path(root) / cls.FOLDER / name / split / f"{name}_{number:04d}.off"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = "\n".join(" ".join(map(str, row)) for row in rng.random((4, 3)))
                path.write_text(f"OFF4 4 0\n{rows}\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n")
        return cls(root, num_points=16, strict=False)

    def _list(self, name: str, split: str) -> list[Path]:
        for root in (Path(self.root or ""), Path(self.root or "") / self.FOLDER):
            folder = root / name / split
            if folder.is_dir():
                return [path for path in visible(folder) if path.suffix.lower() == ".off"]
        raise FileNotFoundError(
            f"root must be the folder {self.FOLDER} with {name}/{split}, got {self.root}; see {URL}"
        )


@DATASETS.register("modelnet10")
@dataclass(frozen=True)
class ModelNet10(ModelNet40Meshes):
    """OFF meshes of 10 classes, aligned, sampled by area with normals, centred, largest norm 1.

    The options are those of `modelnet40_meshes`.
    """

    FOLDER: ClassVar[str] = "ModelNet10"
    NAMES: ClassVar[tuple[str, ...]] = NAMES_10
    TOTALS: ClassVar[dict[str, int]] = COUNTS_10


def _unit(xyz: np.ndarray) -> np.ndarray:
    centred = xyz - xyz.mean(axis=0, dtype=np.float64)
    unit: np.ndarray = (centred / np.linalg.norm(centred, axis=1).max()).astype(np.float32)
    return unit

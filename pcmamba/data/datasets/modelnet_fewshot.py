"""ModelNet few-shot folds: pickles of `way` classes with `shot` training clouds each.

Derived from ModelNet40 (Princeton's terms, academic use). The pickles are read without running
anything in them. y is up. Protocol: mean and standard deviation over the 10 folds.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.modelnet40 import CLASS_NAMES, LICENCE
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.plain_pickle import load_plain_pickle
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet

_TEST_CLOUDS = 20  # of each class


@DATASETS.register("modelnet_fewshot")
@dataclass(frozen=True)
class ModelNetFewShot:
    """One fold of the few-shot protocol on ModelNet40.

    Args:
        root: The folder ModelNetFewshot, or the one above it.
        way: Classes of a fold, 5 or 10 in the published lists.
        shot: Training clouds of each class, 10 or 20.
        fold: 0 … 9.
        num_points: Points of each cloud; of more, a subset is drawn.
        seed: Of that draw.
        up_axis: Axis that points up in the files.
        strict: Refuse other counts than way x shot and way x 20; False only notes them.

    Raises:
        ValueError: A number is out of range.
    """

    root: str | None = None
    way: int = 5
    shot: int = 10
    fold: int = 0
    num_points: int = 1024
    seed: int = 0
    up_axis: str = "y"
    strict: bool = True

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        for name in ("way", "shot", "num_points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of the pickle.

        Raises:
            ValueError: Unknown split, something else than plain arrays in the pickle, or counts
                that do not fit.
            FileNotFoundError: The fold is missing.
        """
        if split not in ("train", "test"):
            raise ValueError(f"split must be train or test, got {split!r}")
        path = self._path()
        fold = load_plain_pickle(path)
        entries = _entries(fold, split, path)
        names = self._names(_entries(fold, "train", path), path)
        labels = [int(label) for _, label, _ in entries]
        wanted = self.way * (self.shot if split == "train" else _TEST_CLOUDS)
        notes = [f"{self.way}-way {self.shot}-shot, fold {self.fold}"]
        if len(labels) != wanted:
            fault = f"{path}: {split} must have {wanted} clouds, got {len(labels)}"
            if self.strict:
                raise ValueError(f"{fault}; strict=False takes them as they are")
            notes.append(fault)
        ids = [f"{split}_{i:03d}" for i in range(len(labels))]
        chosen = [
            cloud[choose_points(len(cloud), self.num_points, self.seed, name)]
            for (cloud, _, _), name in zip(entries, ids, strict=True)
        ]
        table = to_z_up_table(np.stack(chosen).astype(np.float32), self.up_axis)
        return CloudSet(
            points=torch.from_numpy(table[..., :3].copy()),
            labels=torch.tensor(labels),
            class_names=names,
            ids=tuple(ids),
            name="modelnet_fewshot",
            split=split,
            up_axis=self.up_axis,
            normals=torch.from_numpy(table[..., 3:6].copy()) if table.shape[2] == 6 else None,
            keys=stack_keys([c[:, :3].astype(np.float32) for c, _, _ in entries]),
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits of the fold and describe them."""
        return [*report_splits(self.load("train"), self.load("test")), f"licence: {LICENCE}"]

    @classmethod
    def make_fake(cls, root: str) -> ModelNetFewShot:
        """Write one fold of small clouds."""
        rng = np.random.default_rng(0)
        path = Path(root) / "ModelNetFewshot" / "5way20shot" / "0.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        fold = {
            split: [
                (rng.random((24, 6)).astype(np.float32), label, 7 * label)
                for label in range(5)
                for _ in range(count)
            ]
            for split, count in (("train", 20), ("test", _TEST_CLOUDS))
        }
        path.write_bytes(pickle.dumps(fold, protocol=2))
        return cls(root, shot=20, num_points=16)

    def _path(self) -> Path:
        if self.root is None:
            raise FileNotFoundError("root must be the folder ModelNetFewshot, got None")
        roots = (Path(self.root), Path(self.root) / "ModelNetFewshot")
        folders = (f"{self.way}way_{self.shot}shot", f"{self.way}way{self.shot}shot")
        places = [r / folder / f"{self.fold}.pkl" for r in roots for folder in folders]
        for place in places:
            if place.is_file():
                return place
        raise FileNotFoundError(f"root must hold {folders[0]}/{self.fold}.pkl, got {self.root}")

    def _names(self, train: list[Any], path: Path) -> tuple[str, ...]:
        classes = {int(label): int(original) for _, label, original in train}
        if sorted(classes) != list(range(self.way)):
            raise ValueError(f"{path}: labels must be 0 … {self.way - 1}, got {sorted(classes)}")
        originals = [classes[label] for label in range(self.way)]
        if not all(0 <= n < len(CLASS_NAMES) for n in originals):
            raise ValueError(f"{path}: classes must be of ModelNet40's 40, got {originals}")
        return tuple(CLASS_NAMES[n] for n in originals)


def to_z_up_table(table: np.ndarray, up_axis: str) -> np.ndarray:
    """Turn rows of coordinates, and of normals behind them, to z up."""
    parts = [to_z_up(table[..., i : i + 3], up_axis) for i in range(0, table.shape[-1], 3)]
    return np.concatenate(parts, axis=-1)


def _entries(fold: Any, split: str, path: Path) -> list[Any]:
    entries = fold.get(split) if isinstance(fold, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} must be a dict with a list {split!r}, got none")
    for number, entry in enumerate(entries):
        cloud = entry[0] if isinstance(entry, list | tuple) and len(entry) == 3 else None
        if (
            not isinstance(cloud, np.ndarray)
            or cloud.ndim != 2
            or cloud.shape[1] not in (3, 6)
            or not len(cloud)
            or cloud.dtype.kind != "f"
        ):
            raise ValueError(f"{path}: {split}[{number}] must be (points (N, 6), label, class)")
    return entries

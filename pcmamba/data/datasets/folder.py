"""`folder`: files of the user's own, one cloud a file, one folder a class."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.axes import check_up_axis
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.listing import visible
from pcmamba.data.readers import READERS, read_points
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet, PointCloud
from pcmamba.data.writers import write_npz, write_ply

_SPLITS = ("train", "test")


@dataclass(frozen=True)
class _Listing:
    """Files of one split by class, and what was passed over."""

    files: dict[str, list[Path]]
    notes: tuple[str, ...]


@DATASETS.register("folder")
@dataclass(frozen=True)
class Folder:
    """Files of your own, one cloud a file (ply, pcd, las, npy, …), one folder a class.

    Either root/class/file, or root/train/class/file and root/test/class/file.

    Without the folders train and test, each class is split by a draw that depends on the seed and
    the names of its files alone; of at least two files at least one goes to either side. Hidden
    files are skipped; other entries that are no clouds are passed over and noted.

    Every cloud gets `num_points` points: of more, a subset is drawn; of fewer, all are kept and
    some drawn again; a cloud of just that size keeps its order. The draw depends on the seed and
    the file's path below the root, which is also its id. Coordinates keep the units of the files;
    of a mesh the vertices are taken.

    Args:
        root: The folder of the class folders.
        num_points: Points of each cloud.
        up_axis: Axis that points up in the files, x, y or z; clouds are turned to z up.
        test_fraction: Share of each class that is kept for testing, between 0 and 1.
        seed: Of the split and of the points that are kept.
        point_labels: Every point has a label, from 0; they become `part_labels`.
        point_names: Name of each of these labels; without them the numbers are the names.

    Raises:
        ValueError: A number is out of range or `up_axis` is no axis.
    """

    root: str | None = None
    num_points: int = 1024
    up_axis: str = "z"
    test_fraction: float = 0.2
    seed: int = 0
    point_labels: bool = False
    point_names: tuple[str, ...] | list[str] = ()

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"test_fraction must be between 0 and 1, got {self.test_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def load(self, split: str) -> CloudSet:
        """Read a split, class by class, files in the order of their names.

        Raises:
            ValueError: Unknown split, no classes, a class without files, or (`ReadError`) a file
                that cannot be read; the file is named.
            FileNotFoundError: No such folder.
        """
        if split not in _SPLITS:
            raise ValueError(f"split must be train or test, got {split!r}")
        listing = self._list(split)
        names = tuple(listing.files)
        chosen = [(name, path) for name, paths in listing.files.items() for path in paths]
        if not chosen:
            raise ValueError(f"{self.root}: {split} must have files, got one file in each class")
        clouds = [read_points(path, up_axis=self.up_axis).z_up() for _, path in chosen]
        ids = [path.relative_to(str(self.root)).as_posix() for _, path in chosen]
        index = [
            choose_points(len(c), self.num_points, self.seed, i)
            for c, i in zip(clouds, ids, strict=True)
        ]
        points = [c.xyz[chosen] for c, chosen in zip(clouds, index, strict=True)]
        parts = self._parts(clouds, index) if self.point_labels else None
        return CloudSet(
            points=torch.from_numpy(np.stack(points)),
            labels=torch.tensor([names.index(name) for name, _ in chosen]),
            class_names=names,
            ids=tuple(ids),
            name="folder",
            split=split,
            up_axis=self.up_axis,
            part_labels=parts,
            part_names=() if parts is None else self._part_names(parts),
            keys=stack_keys([c.xyz for c in clouds]),
            notes=(*listing.notes, *self._notes(clouds)),
        )

    def check(self) -> list[str]:
        """Read every file and describe both splits."""
        return report_splits(self.load("train"), self.load("test"))

    @classmethod
    def make_fake(cls, root: str) -> Folder:
        """Write three classes of five small clouds in several formats, and return a loader."""
        rng = np.random.default_rng(0)
        for kind in ("box", "rod", "sheet"):
            (Path(root) / kind).mkdir(parents=True, exist_ok=True)
            for number, form in enumerate(("ply", "npy", "npz", "off", "xyz")):
                xyz = rng.standard_normal((20 + number, 3)).astype(np.float32)
                _write_fake(Path(root) / kind / f"{kind}_{number}.{form}", xyz)
        return cls(root, num_points=22)

    def _list(self, split: str) -> _Listing:
        if self.root is None or not Path(self.root).is_dir():
            raise FileNotFoundError(f"root must be a folder of class folders, got {self.root}")
        root = Path(self.root)
        present = [(root / name).is_dir() for name in _SPLITS]
        if all(present):
            return _list_split(root, split)
        if any(present):
            missing = root / _SPLITS[present.index(False)]
            raise FileNotFoundError(f"{missing} must lie beside the other split, found none")
        listing = _list_classes(root)
        index = _SPLITS.index(split)
        files = {name: self._divide(name, paths)[index] for name, paths in listing.files.items()}
        return _Listing(files, (f"split drawn with seed {self.seed}", *listing.notes))

    def _divide(self, name: str, paths: list[Path]) -> tuple[list[Path], list[Path]]:
        """Return the train and the test files of a class."""
        count = min(max(round(self.test_fraction * len(paths)), 1), len(paths) - 1)
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        test = set(rng.permutation(len(paths))[:count].tolist())
        numbered = list(enumerate(paths))
        return [p for i, p in numbered if i not in test], [p for i, p in numbered if i in test]

    def _parts(self, clouds: list[PointCloud], index: list[np.ndarray]) -> Tensor:
        for cloud in clouds:
            if cloud.labels is None:
                raise ValueError(f"{cloud.source} must have a label for each point, got none")
            if cloud.labels.min() < 0 or 0 < len(self.point_names) <= cloud.labels.max():
                raise ValueError(
                    f"{cloud.source}: labels must be in 0 … {len(self.point_names) - 1}, "
                    f"got {cloud.labels.min()} to {cloud.labels.max()}"
                )
        chosen = [c.labels[i] for c, i in zip(clouds, index, strict=True) if c.labels is not None]
        return torch.from_numpy(np.stack(chosen))

    def _part_names(self, parts: Tensor) -> tuple[str, ...]:
        return tuple(self.point_names) or tuple(map(str, range(int(parts.max()) + 1)))

    def _notes(self, clouds: list[PointCloud]) -> list[str]:
        sizes = [len(cloud) for cloud in clouds]
        said = Counter(note for cloud in clouds for note in cloud.notes)
        notes = [f"{note} ({count} files)" for note, count in sorted(said.items())]
        if any(size != self.num_points for size in sizes):
            notes.append(f"{min(sizes):,} to {max(sizes):,} points brought to {self.num_points:,}")
        return notes


def _list_split(root: Path, split: str) -> _Listing:
    """List root/split/class; both splits give the classes of train."""
    train = _list_classes(root / "train")
    notes = [f"passed over {p.name}" for p in visible(root) if p.name not in _SPLITS]
    listing = train if split == "train" else _list_classes(root / "test")
    unknown = sorted(listing.files.keys() - train.files.keys())
    if unknown:
        raise ValueError(f"{root / 'train'} must have every class of test, got no {unknown[0]!r}")
    files = {name: listing.files.get(name, []) for name in train.files}
    return _Listing(files, (*notes, *listing.notes))


def _list_classes(folder: Path) -> _Listing:
    """List the files of each class folder in `folder`."""
    classes = [path for path in visible(folder) if path.is_dir()]
    if not classes:
        raise ValueError(f"{folder} must hold a folder for each class, got none")
    files, passed = {}, sum(not path.is_dir() for path in visible(folder))
    for path in classes:
        entries = visible(path)
        files[path.name] = [p for p in entries if p.is_file() and p.suffix.lower() in READERS]
        passed += len(entries) - len(files[path.name])
        if not files[path.name]:
            raise ValueError(f"{path} must hold files of {', '.join(READERS)}, got none")
    notes = (f"passed over {passed} entries that are no clouds",) if passed else ()
    return _Listing(files, notes)


def _write_fake(path: Path, xyz: np.ndarray) -> None:
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in xyz)
    match path.suffix:
        case ".ply":
            write_ply(path, PointCloud(xyz))
        case ".npz":
            write_npz(path, PointCloud(xyz))
        case ".npy":
            np.save(path, xyz)
        case ".off":
            path.write_text(f"OFF\n{len(xyz)} 0 0\n{rows}\n")
        case _:
            path.write_text(rows)

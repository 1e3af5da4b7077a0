"""ShapeNetPart: shapes of 16 categories whose points carry 50 parts, in text files with normals.

Licence: ShapeNet's terms, research. `synsetoffset2category.txt` gives the categories in the order
of their numbers, `<synset>/<id>.txt` the rows x y z nx ny nz part. y is up. Numbers of categories
and parts follow from the files, so sets of other sizes in this layout load too.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pcmamba.data.axes import check_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.listing import read_text_list
from pcmamba.data.readers import read_points
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet, PointCloud

FOLDER = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
URL = "https://shapenet.org"
LICENCE = "research (ShapeNet)"
COUNTS = {"train": 14007, "test": 2874}
COLUMNS = ("x", "y", "z", "nx", "ny", "nz", "label")
_LISTS = {"train": ("train", "val"), "test": ("test",)}


@DATASETS.register("shapenetpart")
@dataclass(frozen=True)
class ShapeNetPart:
    """Shapes with part labels; training is on the lists train and val, testing on test.

    Args:
        root: The folder with synsetoffset2category.txt, or the one above it.
        num_points: Points of each cloud; of more a subset is drawn, of fewer some come twice.
        seed: Of that draw.
        up_axis: Axis that points up in the files.

    Raises:
        ValueError: A number or axis is out of range.
    """

    root: str | None = None
    num_points: int = 2048
    seed: int = 0
    up_axis: str = "y"

    def __post_init__(self) -> None:
        check_up_axis(self.up_axis)
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of its lists.

        Raises:
            ValueError: Unknown split, an id in two lists, a part of two categories, a file that
                cannot be read.
            FileNotFoundError: The folder, a list or a listed file is missing.
        """
        if split not in _LISTS:
            raise ValueError(f"split must be train or test, got {split!r}")
        folder = self._folder()
        categories, entries = _categories(folder), _entries(folder, split)
        synsets = list(categories.values())
        clouds = [_read(folder, synset, name, synsets) for synset, name in entries]
        labels = torch.tensor([synsets.index(synset) for synset, _ in entries])
        ids = [f"{synset}/{name}" for synset, name in entries]
        index = [
            choose_points(len(c), self.num_points, self.seed, i)
            for c, i in zip(clouds, ids, strict=True)
        ]
        pairs = list(zip(clouds, index, strict=True))
        parts = torch.from_numpy(np.stack([np.asarray(c.labels)[i] for c, i in pairs]))
        names = _part_names(folder, clouds, labels.tolist(), tuple(categories))
        notes = []
        if len(synsets) == 16 and len(clouds) != COUNTS[split]:
            notes.append(f"{len(clouds):,} shapes where the release has {COUNTS[split]:,}")
        return CloudSet(
            points=torch.from_numpy(np.stack([to_z_up(c.xyz[i], self.up_axis) for c, i in pairs])),
            labels=labels,
            class_names=tuple(categories),
            ids=tuple(ids),
            name="shapenetpart",
            split=split,
            up_axis=self.up_axis,
            normals=torch.from_numpy(
                np.stack([to_z_up(np.asarray(c.normals)[i], self.up_axis) for c, i in pairs])
            ),
            part_labels=parts,
            part_names=names,
            keys=stack_keys([c.xyz for c in clouds]),
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> ShapeNetPart:
        """Write three categories of four shapes with two parts each, and no val list."""
        rng = np.random.default_rng(0)
        folder = Path(root) / FOLDER
        lists: dict[str, list[str]] = {"train": [], "test": []}
        (folder / "train_test_split").mkdir(parents=True, exist_ok=True)
        lines = []
        for number, name in enumerate(("Airplane", "Bag", "Cap")):
            synset = f"{2691156 + number:08d}"
            (folder / synset).mkdir(exist_ok=True)
            lines.append(f"{name}\t{synset}\n")
            for shape in range(4):
                rows = rng.standard_normal((20 + shape, 6)).round(4)
                text = "".join(
                    f"{' '.join(map(str, row))} {2 * number + i % 2:.6f}\n"
                    for i, row in enumerate(rows)
                )
                (folder / synset / f"s{number}{shape}.txt").write_text(text)
                key = "test" if shape == 3 else "train"
                lists[key].append(f"shape_data/{synset}/s{number}{shape}")
        (folder / "synsetoffset2category.txt").write_text("".join(lines))
        for key, names in lists.items():
            path = folder / "train_test_split" / f"shuffled_{key}_file_list.json"
            path.write_text(json.dumps(names))
        return cls(root, num_points=22)

    def _folder(self) -> Path:
        if self.root is not None:
            for folder in (Path(self.root), Path(self.root) / FOLDER):
                if (folder / "synsetoffset2category.txt").is_file():
                    return folder
        raise FileNotFoundError(
            f"root must be the folder {FOLDER} with synsetoffset2category.txt, got {self.root}; "
            f"see {URL}"
        )


def _categories(folder: Path) -> dict[str, str]:
    """Return the synset of each category, in the order of their numbers."""
    path = folder / "synsetoffset2category.txt"
    rows = [line.split() for line in read_text_list(path)]
    if any(len(row) != 2 for row in rows) or not rows:
        raise ValueError(f"{path} must have lines of a name and a synset, got others")
    categories = {row[0]: row[1] for row in rows}
    if len(categories) != len(rows) or len(set(categories.values())) != len(rows):
        raise ValueError(f"{path} must name each category and synset once, got one twice")
    return categories


def _entries(folder: Path, split: str) -> list[tuple[str, str]]:
    """Return (synset, id) of a split; an id may be in one list alone."""
    lists = {name: _read_list(folder, name) for names in _LISTS.values() for name in names}
    every = [entry for entries in lists.values() for entry in entries]
    if len(set(every)) != len(every):
        twice = next(entry for entry in every if every.count(entry) > 1)
        raise ValueError(f"{folder}: ids must be listed once, got {'/'.join(twice)} again")
    entries = [entry for name in _LISTS[split] for entry in lists[name]]
    if not entries:
        raise FileNotFoundError(f"{folder} must have a list of {split} shapes, got none")
    return entries


def _read_list(folder: Path, name: str) -> list[tuple[str, str]]:
    path = folder / "train_test_split" / f"shuffled_{name}_file_list.json"
    if not path.is_file():
        return []
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))
        parts = [str(line).replace("\\", "/").split("/")[-2:] for line in lines]
        return [(synset, shape) for synset, shape in parts]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} must be a JSON list of shape_data/synset/id, got {error}"
        ) from None


def _read(folder: Path, synset: str, name: str, synsets: list[str]) -> PointCloud:
    if synset not in synsets:
        raise ValueError(f"{folder}: {synset}/{name} must be of a listed category, got none")
    cloud = read_points(folder / synset / f"{name}.txt", columns=COLUMNS)
    assert cloud.labels is not None  # the columns name them
    if cloud.labels.min() < 0:
        raise ValueError(f"{cloud.source}: parts must be at least 0, got {cloud.labels.min()}")
    return cloud


def _part_names(
    folder: Path, clouds: list[PointCloud], labels: list[int], categories: tuple[str, ...]
) -> tuple[str, ...]:
    """Name the parts by the list that may lie there, or `Category.number`."""
    owner = _part_owners(folder, categories)
    for cloud, label in zip(clouds, labels, strict=True):
        for part in np.unique(np.asarray(cloud.labels)).tolist():
            if owner.setdefault(part, label) != label:
                raise ValueError(
                    f"{cloud.source}: part {part} must be of one category, got "
                    f"{categories[owner[part]]} and {categories[label]}"
                )
    names = folder / "part_names.txt"
    if names.is_file():
        listed = tuple(read_text_list(names))
        if len(set(listed)) == len(listed):
            return listed
    count = max(owner) + 1
    return tuple(
        f"{categories[owner[p]]}.{p}" if p in owner else f"unused.{p}" for p in range(count)
    )


def _part_owners(folder: Path, categories: tuple[str, ...]) -> dict[int, int]:
    """Return the published ranges for the 16 categories, and nothing for other sets."""
    starts = (0, 4, 6, 8, 12, 16, 19, 22, 24, 28, 30, 36, 38, 41, 44, 47, 50)
    if len(categories) != len(starts) - 1:
        return {}
    spans = enumerate(itertools.pairwise(starts))
    return {part: number for number, (low, high) in spans for part in range(low, high)}

"""ModelNet40: 12,311 CAD shapes of 40 classes, from the HDF5 release.

Licence: Princeton's terms, academic use. Nothing is downloaded: get `modelnet40_ply_hdf5_2048` and
give its folder, or the one above it, as `root`. Protocol: 1024 points, the first of each stored
cloud for testing; overall accuracy and the mean of the classes' accuracies; one view, no voting.
Coordinates are centred with largest norm 1, in no unit.

The official release has y up; copies made from the meshes have z up. The files do not tell, so the
axis is taken from the shapes unless it is given. Brought to z up, two copies may still differ by a
quarter turn about the vertical or a mirror, so test a model on the copy that it was trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from pcmamba.data.axes import LEAN_OF_CLASS, UP_AXES, estimate_up_axis, to_z_up
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.modelnet40_h5 import FOLDER, H5Split, locate, read_split
from pcmamba.data.listing import read_text_list
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet

URL = "https://modelnet.cs.princeton.edu"
LICENCE = "academic use (Princeton)"
# fmt: off
CLASS_NAMES: tuple[str, ...] = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair",
    "cone", "cup", "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar",
    "keyboard", "lamp", "laptop", "mantel", "monitor", "night_stand", "person", "piano",
    "plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table", "tent",
    "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)
COUNTS: dict[str, tuple[int, ...]] = {
    "train": (626, 106, 515, 173, 572, 335, 64, 197, 889, 167, 79, 138, 200, 109, 200, 149, 171,
              155, 145, 124, 149, 284, 465, 200, 88, 231, 240, 104, 115, 128, 680, 124, 90, 392,
              163, 344, 267, 475, 87, 103),
    "test": (100, 50, 100, 20, 100, 100, 20, 100, 100, 20, 20, 20, 86, 20, 86, 20, 100, 100, 20,
             20, 20, 100, 100, 86, 20, 100, 100, 20, 100, 20, 100, 20, 20, 100, 20, 100, 100, 100,
             20, 20),
}
# fmt: on
RELEASED_TRAIN = 9840  # shapes in the release, three fewer than in the official list
_LARGEST_NORM = 1.0 + 1e-3
_LISTED = 5  # classes named in a message


@DATASETS.register("modelnet40")
@dataclass(frozen=True)
class ModelNet40:
    """CAD shapes of 40 classes from the folder modelnet40_ply_hdf5_2048, brought to z up.

    Args:
        root: That folder or the one above it.
        up_axis: Axis that points up in the files, x, y or z; "auto" tells it from the shapes.
        strict: Refuse other counts than the official ones, unknown or repeated ids and clouds that
            leave the unit sphere; False only notes them.

    Raises:
        ValueError: `up_axis` is none of these.
    """

    root: str | None = None
    up_axis: str = "auto"
    strict: bool = True

    def __post_init__(self) -> None:
        if self.up_axis not in (*UP_AXES, "auto"):
            raise ValueError(f"up_axis must be x, y, z or 'auto', got {self.up_axis!r}")

    def load(self, split: str) -> CloudSet:
        """Read a split in the order of the files; all stored points are kept, in their order.

        Raises:
            ValueError: Unknown split, a file that holds something else, an unclear up axis, or
                with `strict` another set than the official one.
            FileNotFoundError: A folder or file is missing.
            NotImplementedError: The folder holds another form of ModelNet40.
        """
        if split not in COUNTS:
            raise ValueError(f"split must be train or test, got {split!r}")
        folder = locate(self.root)
        content = read_split(folder, split, len(CLASS_NAMES))
        faults = [*_name_faults(folder), *_id_faults(content), *_norm_faults(content)]
        said, fault = _compare_counts(content.labels, split)
        faults += fault
        if faults and self.strict:
            raise ValueError(
                f"{folder}: {split} must be the official split, got {'; '.join(faults)}; "
                "strict=False takes it as it is"
            )
        axis, reason = self._axis(content)
        notes = [*said, *faults, reason]
        if content.ids is None:
            notes.append("no id2file lists; shapes are numbered")
        return CloudSet(
            points=torch.from_numpy(np.ascontiguousarray(to_z_up(content.points, axis))),
            labels=torch.from_numpy(content.labels),
            class_names=CLASS_NAMES,
            ids=content.ids or tuple(f"{split}_{i:05d}" for i in range(len(content.labels))),
            name="modelnet40",
            split=split,
            up_axis=axis,
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them.

        Raises:
            ValueError: As `load`, or the splits stand on different axes.
        """
        train, test = self.load("train"), self.load("test")
        if train.up_axis != test.up_axis:
            raise ValueError(
                f"up_axis must be the same in both splits, got {train.up_axis} in train and "
                f"{test.up_axis} in test"
            )
        return [*report_splits(train, test), f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str, *, up_axis: str = "y", num_points: int = 32) -> ModelNet40:
        """Write a tiny set of blobs in the layout of the release, and return a loader for it."""
        _write_fake(Path(root) / FOLDER, up_axis, num_points)
        return cls(root, strict=False)

    def _axis(self, content: H5Split) -> tuple[str, str]:
        """Return the up axis and how it is known."""
        if self.up_axis != "auto":
            return self.up_axis, f"up axis {self.up_axis}, as given"
        chosen = np.isin(content.labels, [CLASS_NAMES.index(name) for name in LEAN_OF_CLASS])
        found = estimate_up_axis(content.points[chosen], content.labels[chosen], CLASS_NAMES)
        return found.axis, str(found)


def _compare_counts(labels: np.ndarray, split: str) -> tuple[list[str], list[str]]:
    """Say which list the counts are of, and what is wrong with them."""
    counts, official = np.bincount(labels, minlength=len(CLASS_NAMES)), np.array(COUNTS[split])
    total, wanted = int(counts.sum()), int(official.sum())
    if (counts == official).all():
        return [f"all {total:,} shapes of the official list"], []
    differing = _first_few(
        f"{name} {have} for {want}"
        for name, have, want in zip(CLASS_NAMES, counts, official, strict=True)
        if have != want
    )
    if split == "train" and total == RELEASED_TRAIN and (counts <= official).all():
        return [f"the release's {total:,} shapes, {wanted - total} fewer ({differing})"], []
    return [], [f"{total:,} shapes for {wanted:,} ({differing})"]


def _first_few(entries: Iterable[str]) -> str:
    listed = list(entries)
    more = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {more} more classes" if more > 0 else "")


def _name_faults(folder: Path) -> list[str]:
    names = folder / "shape_names.txt"
    if not names.is_file() or tuple(read_text_list(names)) == CLASS_NAMES:
        return []
    return [f"{names.name} with other class names than the 40 official ones"]


def _id_faults(content: H5Split) -> list[str]:
    if content.ids is None:
        return []
    faults = []
    repeated = [name for name, count in Counter(content.ids).items() if count > 1]
    if repeated:
        faults.append(f"{len(repeated)} repeated ids, first {repeated[0]}")
    # The name of a class may hold underscores: what counts is all before the last one.
    classes = (name.rpartition("_")[0] for name in content.ids)
    pairs = zip(content.ids, classes, content.labels, strict=True)
    wrong = [name for name, kind, label in pairs if kind != CLASS_NAMES[label]]
    if wrong:
        faults.append(f"{len(wrong)} ids of another class than the label, first {wrong[0]}")
    return faults


def _norm_faults(content: H5Split) -> list[str]:
    largest = float(np.sqrt(np.einsum("snc,snc->sn", content.points, content.points).max()))
    if largest <= _LARGEST_NORM:
        return []
    return [f"points up to {largest:.4g} from zero instead of 1"]


def _write_fake(folder: Path, up_axis: str, num_points: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shape_names.txt").write_text("\r\n".join(CLASS_NAMES))
    first = 1
    for split, copies in (("train", 2), ("test", 1)):
        numbers = range(copies)  # of the files
        lines = "".join(f"data/{FOLDER}/ply_data_{split}{number}.h5\n" for number in numbers)
        (folder / f"{split}_files.txt").write_text(lines)
        for number in numbers:
            rng = np.random.default_rng(first)
            clouds = np.stack([_fake_cloud(name, num_points, rng) for name in CLASS_NAMES])
            # The inverse of a cyclic exchange of three axes is to do it once more.
            clouds = to_z_up(to_z_up(clouds, up_axis), up_axis)
            with h5py.File(folder / f"ply_data_{split}{number}.h5", "w") as file:
                file["data"] = clouds
                file["label"] = np.arange(len(CLASS_NAMES), dtype=np.uint8)[:, None]
            ids = [f"{name}/{name}_{first:04d}.ply" for name in CLASS_NAMES]
            (folder / f"ply_data_{split}_{number}_id2file.json").write_text(json.dumps(ids))
            first += 1


def _fake_cloud(name: str, num_points: int, rng: np.random.Generator) -> np.ndarray:
    """Make a blob whose points gather where those of its class do: at the top or the bottom."""
    cloud = rng.random((num_points, 3))
    lean = LEAN_OF_CLASS.get(name, 0)
    if lean:
        cloud[:, 2] **= 3.0**-lean
    cloud -= cloud.mean(axis=0)
    unit: np.ndarray = (cloud / np.linalg.norm(cloud, axis=1).max()).astype(np.float32)
    return unit

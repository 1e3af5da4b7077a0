"""S3DIS: rooms of six areas scanned indoors, points of 13 classes, as text or as npy.

Licence: Stanford's terms, on request. Metres, z up. Layouts: `Area_k/<room>/Annotations/
<class>_<i>.txt`, rows x y z r g b; or npy rooms `Area_k_<room>.npy`, rows x y z r g b label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.stack import choose_points, stack_keys
from pcmamba.data.listing import natural_key, visible
from pcmamba.data.readers import read_points
from pcmamba.data.report import report_splits
from pcmamba.data.structures import CloudSet, PointCloud

URL = "http://buildingparser.stanford.edu/dataset.html"
LICENCE = "Stanford, on request"
CLASS_NAMES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa",
    "bookcase", "board", "clutter",
)  # fmt: skip
COLUMNS = ("x", "y", "z", "red", "green", "blue")
LARGEST_EXTENT = 100.0  # metres of a room
_FOLDERS = ("Stanford3dDataset_v1.2_Aligned_Version", "s3disfull/raw", "raw")
_ROOM = re.compile(r"(?P<area>Area_\d+)_(?P<room>.+)")


@DATASETS.register("s3dis")
@dataclass(frozen=True)
class S3DIS:
    """Rooms with a class for each point; `load` gives a subset of each room, `read_room` all of it.

    Args:
        root: The folder of the areas or of the npy rooms, or one above it.
        test_area: Rooms of this area are the test split.
        num_points: Points of a room that `load` draws.
        seed: Of that draw.
        classes: Names of the classes; others in the files become "clutter", if that is one of them.
        repair: Leave out lines of text that are no numbers, and say so, instead of refusing them.

    Raises:
        ValueError: `num_points` is below 1.
    """

    root: str | None = None
    test_area: str = "Area_5"
    num_points: int = 4096
    seed: int = 0
    classes: tuple[str, ...] | list[str] = CLASS_NAMES
    repair: bool = False

    def __post_init__(self) -> None:
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")

    def rooms(self, split: str) -> list[Path]:
        """Return the folders or npy files of a split's rooms, in natural order.

        Raises:
            ValueError: Unknown split, or a split without rooms.
            FileNotFoundError: There are no areas.
        """
        if split not in ("train", "test"):
            raise ValueError(f"split must be train or test, got {split!r}")
        every = self._rooms()
        chosen = [path for path in every if (_area(path) == self.test_area) == (split == "test")]
        if not chosen:
            areas = ", ".join(sorted({_area(path) for path in every}))
            raise ValueError(
                f"test_area must leave rooms in {split}, got {self.test_area} of {areas}"
            )
        return chosen

    def read_room(self, path: Path) -> PointCloud:
        """Read a whole room: colours, `labels` of the classes, and the attribute `instance`.

        Points of the text layout come instance by instance.

        Raises:
            ValueError: A class that is none of `classes`, a broken line, an extent above 100 m.
        """
        cloud = self._read_npy(path) if path.suffix == ".npy" else self._read_annotations(path)
        extent = float(np.ptp(cloud.xyz, axis=0).max())
        if extent > LARGEST_EXTENT:
            raise ValueError(f"{path}: extent must be at most {LARGEST_EXTENT} m, got {extent:.4g}")
        return cloud

    def load(self, split: str) -> CloudSet:
        """Draw `num_points` of each room; all rooms are of one class, points carry part labels.

        Raises:
            ValueError: As `rooms` and `read_room`.
            FileNotFoundError: There are no areas.
        """
        points, parts, keys, notes = [], [], [], []
        chosen = self.rooms(split)
        for path in chosen:
            cloud = self.read_room(path)
            index = choose_points(len(cloud), self.num_points, self.seed, _name(path))
            points.append(cloud.xyz[index])
            parts.append(np.asarray(cloud.labels)[index])
            keys.append(stack_keys([cloud.xyz]))
            notes += [f"{_name(path)}: {note}" for note in cloud.notes]
        return CloudSet(
            points=torch.from_numpy(np.stack(points)),
            labels=torch.zeros(len(chosen), dtype=torch.int64),
            class_names=("room",),
            ids=tuple(_name(path) for path in chosen),
            name="s3dis",
            split=split,
            up_axis="z",
            part_labels=torch.from_numpy(np.stack(parts)),
            part_names=tuple(self.classes),
            keys=torch.cat(keys),
            notes=tuple(notes),
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        lines = report_splits(self.load("train"), self.load("test"))
        return [*lines, f"licence: {LICENCE}, {URL}"]

    @classmethod
    def make_fake(cls, root: str) -> S3DIS:
        """Write four rooms in two areas, with the stray files of the release."""
        rng = np.random.default_rng(0)
        for area in ("Area_1", "Area_5"):
            (Path(root) / area).mkdir(parents=True, exist_ok=True)
            (Path(root) / area / f"{area}_alignmentAngle.txt").write_text("## angle\noffice_1 0\n")
            for room in ("office_1", "hallway_1"):
                folder = Path(root) / area / room / "Annotations"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / ".DS_Store").write_bytes(b"\0\1")
                whole = ""
                for name in ("ceiling_1", "floor_1", "chair_1", "chair_2", "stairs_1"):
                    rows = np.c_[rng.random((9, 3)).round(3), rng.integers(0, 256, (9, 3))]
                    text = "".join(" ".join(f"{v:g}" for v in row) + "\n" for row in rows)
                    (folder / f"{name}.txt").write_text(text)
                    whole += text
                (folder.parent / f"{room}.txt").write_text(whole)
        return cls(root, num_points=32)

    def _rooms(self) -> list[Path]:
        roots = [Path(self.root or "nowhere") / name for name in ("", *_FOLDERS)]
        for root in roots if self.root is not None else ():
            areas = sorted(root.glob("Area_*/*/Annotations"), key=lambda p: natural_key(str(p)))
            if areas:
                return [path.parent for path in areas]
            files = [p for p in root.glob("Area_*.npy") if _ROOM.fullmatch(p.stem)]
            if files:
                return sorted(files, key=lambda p: natural_key(p.name))
        raise FileNotFoundError(
            f"root must hold Area_1/<room>/Annotations or Area_1_<room>.npy, got {self.root}; see "
            f"{URL}"
        )

    def _read_annotations(self, room: Path) -> PointCloud:
        files = [path for path in visible(room / "Annotations") if path.suffix == ".txt"]
        if not files:
            raise ValueError(f"{room / 'Annotations'} must hold files <class>_<i>.txt, got none")
        clouds: list[PointCloud] = []
        labels: list[int] = []
        notes: list[str] = []
        for path in files:
            cloud, said = _read_text(path, self.repair)
            clouds.append(cloud)
            labels.append(self._label(path.stem.rpartition("_")[0], path))
            notes += said
        sizes = [len(cloud) for cloud in clouds]
        notes += _compare(room / f"{room.name}.txt", sum(sizes))
        return PointCloud(
            np.concatenate([cloud.xyz for cloud in clouds]),
            colors=np.concatenate([np.asarray(cloud.colors) for cloud in clouds]),
            labels=np.repeat(np.array(labels, np.int64), sizes),
            attributes={"instance": np.repeat(np.arange(len(files)), sizes)},
            source=str(room),
            up_axis="z",
            notes=tuple(notes),
        )

    def _label(self, name: str, path: Path) -> int:
        if name in self.classes:
            return list(self.classes).index(name)
        if "clutter" in self.classes:
            return list(self.classes).index("clutter")
        raise ValueError(f"{path}: class must be one of {', '.join(self.classes)}, got {name!r}")

    def _read_npy(self, path: Path) -> PointCloud:
        cloud = read_points(path, up_axis="z", columns=(*COLUMNS, "label"))
        labels = np.asarray(cloud.labels)
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise ValueError(
                f"{path}: labels must be in 0 … {len(self.classes) - 1}, got {labels.min()} to "
                f"{labels.max()}"
            )
        return cloud


def _read_text(path: Path, repair: bool) -> tuple[PointCloud, Sequence[str]]:
    try:
        return read_points(path, columns=COLUMNS), ()
    except ValueError as error:
        if not repair:
            raise ValueError(f"{error}; repair=True leaves such lines out") from None
    rows, dropped = [], 0
    for line in path.read_bytes().decode("latin-1").split("\n"):
        try:
            row = [float(token) for token in line.split()]
            if row and (len(row) != 6 or not np.isfinite(row).all()):
                raise ValueError(f"expected six finite numbers, got {line[:60]!r}")
            rows += [row] if row else []
        except ValueError:
            dropped += 1
    if not rows:
        raise ValueError(f"{path} must have at least one line of six numbers, got none")
    table = np.array(rows)
    colors = np.clip(table[:, 3:], 0, 255).astype(np.uint8)
    cloud = PointCloud(table[:, :3].astype(np.float32), colors=colors, source=str(path))
    return cloud, [f"left out {dropped} broken lines of {path.name}"]


def _compare(path: Path, size: int) -> list[str]:
    if not path.is_file():
        return []
    with path.open("rb") as file:
        rows = sum(1 for line in file if line.strip())
    return [] if rows == size else [f"{path.name} has {rows:,} rows, its annotations {size:,}"]


def _area(path: Path) -> str:
    match = _ROOM.fullmatch(path.stem) if path.suffix == ".npy" else None
    return match["area"] if match else path.parent.name


def _name(path: Path) -> str:
    return path.stem if path.suffix == ".npy" else f"{path.parent.name}_{path.name}"

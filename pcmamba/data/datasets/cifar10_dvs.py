"""CIFAR10-DVS: 10,000 pictures of CIFAR-10 moved before an event camera.

Licence: CC BY 4.0. Nothing is downloaded: unpack the zip of each class and give the folder of the
class folders, or the one above it, as `root`. DVS128, 128 x 128 pixels, AEDAT 2.0; the copy that
was repacked as AEDAT 4 is read too. Source: Li et al., CIFAR10-DVS (2017).

There is no official split. Usually the first 900 recordings of each class, in the order of their
numbers, are trained on; others draw 9 : 1. The picture is turned as other loaders do: with the raw
column and row of the file, x = 127 - row, y = 127 - column; a raw polarity of 0 is brighter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import (
    Labelled,
    check_split,
    compare_count,
    find_folder,
    list_files,
)
from pcmamba.data.datasets.event_splits import split_by_class
from pcmamba.data.datasets.fake_events import dvs128_address, fake_recording, write_aedat2
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671"
LICENCE = "CC BY 4.0"
CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
RESOLUTION_HW = (128, 128)
COUNT = 10_000
_TRAIN_SHARE = 0.9


@DATASETS.register("cifar10_dvs")
@dataclass(frozen=True)
class Cifar10Dvs:
    """Moving pictures of 10 classes, from <class>/cifar10_<class>_<i>.aedat.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the class folders, or the one above it.
        split_by: "first" trains on the first nine tenths of each class, by number; "random" draws
            them.
        seed: Of that draw.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: An unknown way to split, or a negative seed.
    """

    root: str | None = None
    split_by: Literal["first", "random"] = "first"
    seed: int = 0
    strict: bool = True

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def __post_init__(self) -> None:
        if self.split_by not in ("first", "random"):
            raise ValueError(f"split_by must be 'first' or 'random', got {self.split_by!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def load(self, split: str) -> LazyEventSet:
        """List the recordings of a split, class by class, by their numbers.

        Raises:
            ValueError: Unknown split, or other counts.
            FileNotFoundError: A folder is missing.
        """
        check_split(split, ("train", "test"))
        root = find_folder(self.root, ("airplane/*.aedat", "airplane/*.aedat4"), URL)
        classes = [_list(root, label) for label in range(len(CLASS_NAMES))]
        files = [file for members in classes for file in members]
        count = compare_count(root, "the set", len(files), COUNT, self.strict)
        if self.split_by == "random":
            chosen = split_by_class(files, 1 - _TRAIN_SHARE, self.seed, split)
            how = f"nine tenths of each class drawn with seed {self.seed}"
        else:
            kept = [_first_of(members, split) for members in classes]
            files, how = [f for members in kept for f in members], "first nine tenths of each class"
            chosen = list(range(len(files)))
        return list_files(
            [files[i] for i in chosen],
            _read,
            class_names=CLASS_NAMES,
            name="cifar10_dvs",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=(*count, f"train is the {how}", "x = 127 - raw y, y = 127 - raw x, p = 1 - raw"),
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> Cifar10Dvs:
        """Write three recordings of each class; one of three is tested on."""
        for label, name in enumerate(CLASS_NAMES):
            folder = Path(root) / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in (0, 2, 10):
                rng = np.random.default_rng([label, number])
                events = fake_recording(rng, RESOLUTION_HW, 50, label=label)
                path = folder / f"cifar10_{name}_{number}.aedat"
                write_aedat2(path, dvs128_address(events), events.t, "DVS128")
        return cls(root, strict=False)


def _list(root: Path, label: int) -> list[Labelled]:
    folder = root / CLASS_NAMES[label]
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must be a folder of recordings, found none; see {URL}")
    paths = [p for p in visible(folder) if p.suffix.lower() in (".aedat", ".aedat4")]
    if not paths:
        raise ValueError(f"{folder} must hold .aedat files, got none")
    return [Labelled(p, label, p.relative_to(root).with_suffix("").as_posix()) for p in paths]


def _first_of(members: list[Labelled], split: str) -> list[Labelled]:
    """Return the first nine tenths of a class or the rest; at least one goes to test."""
    count = min(round(_TRAIN_SHARE * len(members)), len(members) - 1)
    return members[:count] if split == "train" else members[count:]


def _read(path: Path) -> Events:
    if path.suffix.lower() == ".aedat4":
        return read_events(path, resolution_hw=RESOLUTION_HW)
    events = read_events(path, camera="dvs128")
    side = RESOLUTION_HW[0] - 1
    return replace(
        events,
        x=(side - events.y).astype(np.int16),
        y=(side - events.x).astype(np.int16),
    )

"""N-Caltech101: 8,709 pictures of 100 kinds of objects and a background, seen in saccades.

Licence: CC BY 4.0. Nothing is downloaded: unpack Caltech101.zip and give the folder of the class
folders, or the one above it, as `root`. ATIS; every recording has its own size, up to 240 x 180.
There is no official split; a share of each class is drawn with a seed. Source: Orchard et al.,
Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades (2015).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import Labelled, compare_count, list_files
from pcmamba.data.datasets.event_splits import OwnSplit
from pcmamba.data.datasets.fake_events import fake_recording, write_bin
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "https://www.garrickorchard.com/datasets/n-caltech101"
LICENCE = "CC BY 4.0"
RESOLUTION_HW = (180, 240)
COUNT, CLASSES = 8_709, 101


@DATASETS.register("ncaltech101")
@dataclass(frozen=True)
class NCaltech101(OwnSplit):
    """Objects seen by an event camera, 101 classes, from <class>/image_<i>.bin.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the class folders, or the one above it.
        train_list: A text file, below the root or elsewhere, that names the training files.
        test_list: The same of the test files; both lists or none.
        test_fraction: Without lists, the share of each class that is kept for test.
        seed: Of that draw.
        strict: Refuse other counts than the official ones; False only notes them.
        crop: Move each recording to the upper left corner, so that it begins at 0; otherwise
            coordinates stay as they are.

    Raises:
        ValueError: A number is out of range, or one list is missing.
    """

    crop: bool = False

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> LazyEventSet:
        """List the recordings of a split, class by class, by their numbers.

        Raises:
            ValueError: Unknown split, a bad list, or other counts.
            FileNotFoundError: A folder or list is missing.
        """
        root, folders = _class_folders(self.root)
        files = [
            Labelled(path, label, path.relative_to(root).with_suffix("").as_posix())
            for label, folder in enumerate(folders)
            for path in _pictures(folder)
        ]
        notes = compare_count(root, "the set", len(files), COUNT, self.strict)
        notes += compare_count(root, "the classes", len(folders), CLASSES, self.strict)
        chosen, how = self.divide(files, split, root)
        return list_files(
            chosen,
            self._read,
            class_names=tuple(folder.name for folder in folders),
            name="ncaltech101",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=(*notes, *how),
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> NCaltech101:
        """Write three classes of four recordings, and annotations that are no recordings."""
        for label, name in enumerate(("BACKGROUND_Google", "Faces_easy", "accordion")):
            folder = Path(root) / "Caltech101" / name
            folder.mkdir(parents=True, exist_ok=True)
            notes = Path(root) / "Caltech101_annotations" / name
            notes.mkdir(parents=True, exist_ok=True)
            for number in range(4):
                rng = np.random.default_rng([label, number])
                size = (120 + 10 * number, 180 - 10 * number)
                events = fake_recording(rng, size, 50, microseconds=300_000, label=label)
                write_bin(folder / f"image_{number + 8:04d}.bin", events)
                (notes / f"annotation_{number + 8:04d}.bin").write_bytes(bytes(84))
        return cls(root, strict=False)

    def _read(self, path: Path) -> Events:
        events = read_events(path, resolution_hw=RESOLUTION_HW)
        if not self.crop or not len(events):
            return events
        left, top = events.x.min(), events.y.min()
        return replace(events, x=events.x - left, y=events.y - top)


def _class_folders(root: str | None) -> tuple[Path, list[Path]]:
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(f"root must be the folder of the data, got {root}; see {URL}")
    for place in (Path(root), *(p for p in visible(Path(root)) if p.is_dir())):
        found = [p for p in visible(place) if p.is_dir() and _pictures(p)]
        # The annotations lie beside in folders of the same names, but hold no image_*.bin.
        if found:
            return place, sorted(found, key=lambda folder: folder.name)
    raise FileNotFoundError(
        f"root must hold <class>/image_<i>.bin, itself or in a folder, got {root}; see {URL}"
    )


def _pictures(folder: Path) -> list[Path]:
    return [p for p in visible(folder) if p.name.startswith("image_") and p.suffix == ".bin"]

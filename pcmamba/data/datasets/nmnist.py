"""N-MNIST: 70,000 handwritten digits seen by an event camera that moves in three saccades.

Licence: CC BY-SA 4.0. Nothing is downloaded: unpack Train.zip and Test.zip side by side and give
their folder as `root`. ATIS, 34 x 34 pixels, about 308 ms a recording. Protocol: accuracy on the
10,000 of test. Source: Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic
Datasets Using Saccades (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import (
    Labelled,
    check_split,
    compare_count,
    find_folder,
    read_files,
)
from pcmamba.data.datasets.fake_events import fake_recording, write_bin
from pcmamba.data.event_report import check_event_set
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "https://www.garrickorchard.com/datasets/n-mnist"
LICENCE = "CC BY-SA 4.0"
CLASS_NAMES = tuple("0123456789")
RESOLUTION_HW = (34, 34)
COUNTS = {"train": 60_000, "test": 10_000}
_SACCADE_US = 100_000


@DATASETS.register("nmnist")
@dataclass(frozen=True)
class NMnist:
    """Digits seen by an event camera, 10 classes, from Train|Test/<digit>/<id>.bin.

    Args:
        root: The folder of Train and Test, or the one above it.
        first_saccade: Keep only the first 100 ms.
        strict: Refuse other counts than the official ones; False only notes them.
    """

    root: str | None = None
    first_saccade: bool = False
    strict: bool = True

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> EventSet:
        """Read a split, digit by digit, files in the order of their numbers.

        Raises:
            ValueError: Unknown split, a file that cannot be read, or other counts.
            FileNotFoundError: A folder is missing.
        """
        check_split(split, COUNTS)
        root = find_folder(self.root, ("Train/0/*.bin", "Test/0/*.bin"), URL)
        files = _list(root, split)
        notes = compare_count(root, split, len(files), COUNTS[split], self.strict)
        return read_files(
            files,
            self._read,
            class_names=CLASS_NAMES,
            name="nmnist",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=notes,
        )

    def check(self) -> list[str]:
        """Load both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> NMnist:
        """Write two training recordings and one test recording of each digit."""
        for digit in range(10):
            for number in range(3):
                folder = Path(root) / ("Test" if number == 2 else "Train") / str(digit)
                folder.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng([digit, number])
                events = fake_recording(rng, RESOLUTION_HW, 60, microseconds=300_000)
                write_bin(folder / f"{digit + 10 * number:05d}.bin", events)
        return cls(root, strict=False)

    def _read(self, path: Path) -> Events:
        events = read_events(path, resolution_hw=RESOLUTION_HW)
        # Times in the files count from the begin of the motion, not from the first event.
        return events.between(0, _SACCADE_US - events.t0) if self.first_saccade else events


def _list(root: Path, split: str) -> list[Labelled]:
    files = []
    for digit, name in enumerate(CLASS_NAMES):
        folder = root / split.capitalize() / name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} must be a folder of .bin files, found none")
        paths = [path for path in visible(folder) if path.suffix.lower() == ".bin"]
        if not paths:
            raise ValueError(f"{folder} must hold .bin files, got none")
        files += [
            Labelled(path, digit, path.relative_to(root).with_suffix("").as_posix())
            for path in paths
        ]
    return files

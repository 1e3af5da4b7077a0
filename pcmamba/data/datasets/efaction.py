"""E-FAction: fine-grained actions seen by an event camera, in the layout of the released code.

Licence: not known. There is no public download, and the published figures on its size disagree, so
no counts are checked. Layout: <class>/<recording>/<recording>.npz or .aedat4; the class is the
folder's name. Splits come from lists or are drawn class by class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import Labelled, find_folder, list_files
from pcmamba.data.datasets.event_splits import OwnSplit
from pcmamba.data.datasets.fake_events import fake_recording
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "the authors of SpikMamba"
LICENCE = "not known"
_ENDINGS = (".npz", ".aedat4", ".h5")


@DATASETS.register("efaction")
@dataclass(frozen=True)
class EFAction(OwnSplit):
    """Fine-grained actions, any classes, from <class>/<recording>/<recording>.npz or .aedat4.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the class folders, or the one above it.
        train_list: A text file, below the root or elsewhere, that names the training files.
        test_list: The same of the test files; both lists or none.
        test_fraction: Without lists, the share of each class that is kept for test.
        seed: Of that draw.
        strict: Not used, there are no official counts.
        height: Rows of the sensor.
        width: Columns of the sensor.

    Raises:
        ValueError: A number is out of range, or one list is missing.
    """

    height: int = 260
    width: int = 346

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> LazyEventSet:
        """List the recordings of a split, class by class, by their names.

        Raises:
            ValueError: Unknown split, or a bad list.
            FileNotFoundError: A folder or list is missing.
        """
        root = find_folder(self.root, tuple(f"*/*/*{ending}" for ending in _ENDINGS), URL)
        folders = [p for p in visible(root) if p.is_dir() and _recordings(p)]
        files = [
            Labelled(path, label, f"{folder.name}/{path.stem}")
            for label, folder in enumerate(folders)
            for path in _recordings(folder)
        ]
        chosen, how = self.divide(files, split, root)
        return list_files(
            chosen,
            self._read,
            class_names=tuple(folder.name for folder in folders),
            name="efaction",
            split=split,
            resolution_hw=(self.height, self.width),
            notes=how,
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> EFAction:
        """Write three classes of four recordings."""
        for label, name in enumerate(("003", "019", "020")):
            for number in range(4):
                recording = f"{int(name)}-s-b-{number}"
                path = Path(root) / name / recording / f"{recording}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng([label, number])
                e = fake_recording(rng, (260, 346), 50, label=label)
                np.savez(path, x=e.x, y=e.y, t=e.t, p=e.p)
        return cls(root)

    def _read(self, path: Path) -> Events:
        unit = None if path.suffix.lower() == ".aedat4" else "us"
        return read_events(path, t_unit=unit, resolution_hw=(self.height, self.width))


def _recordings(folder: Path) -> list[Path]:
    """Return <recording>/<recording>.<ending> of a class folder; npz before aedat4."""
    found = []
    for inner in visible(folder):
        paths = [inner / f"{inner.name}{ending}" for ending in _ENDINGS]
        found += [path for path in paths if path.is_file()][:1]
    return found

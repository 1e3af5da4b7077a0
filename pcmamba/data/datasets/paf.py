"""PAF, the part on actions: ten actions of 15 people, 450 recordings of about 5 s.

Licence: not stated. Nothing is downloaded. DAVIS346redColor, 346 x 260 pixels, AEDAT 2.0 in a
folder for each class, named <subject>_<class>.<take>.aedat. Source: Miao et al., Neuromorphic
Vision Datasets for Pedestrian Detection, Action Recognition, and Fall Detection (2019).

There is no official split. The default one is drawn so that no person is on both sides; lists of
files may be given instead, such as those of ExACT (235 and 58 of 293 files, people on both sides).
Loaders disagree on the picture: here rows count downwards and polarity is as in the file; `raw_y`
and `invert_polarity` give the other reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import Labelled, compare_count, list_files
from pcmamba.data.datasets.event_splits import OwnSplit
from pcmamba.data.datasets.fake_events import davis346_address, fake_recording, write_aedat2
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "https://github.com/CrystalMiaoshu/PAFBenchmark"
LICENCE = "not stated"
CLASS_NAMES = (
    "arm crossing", "get up", "jumping", "kicking", "picking up", "sit down", "throwing",
    "turning around", "walking", "waving",
)  # fmt: skip
RESOLUTION_HW = (260, 346)
COUNTS = (450, 293)  # the whole set, and the part that ExACT's lists name


@DATASETS.register("paf")
@dataclass(frozen=True)
class PAF(OwnSplit):
    """Actions of 15 people, 10 classes, from <class>/<subject>_<class>.<take>.aedat.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the class folders, or the one above it.
        train_list: A text file, below the root or elsewhere, that names the training files.
        test_list: The same of the test files; both lists or none.
        test_fraction: Without lists, the share of the people that is kept for test.
        seed: Of that draw.
        strict: Refuse other counts than the official ones; False only notes them.
        raw_y: Keep the rows of the file, which count upwards.
        invert_polarity: Exchange brighter and darker.

    Raises:
        ValueError: A number is out of range, or one list is missing.
    """

    raw_y: bool = False
    invert_polarity: bool = False

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> LazyEventSet:
        """List the recordings of a split, class by class, by their names.

        Raises:
            ValueError: Unknown split, a name of another form, a bad list, or other counts.
            FileNotFoundError: A folder or list is missing.
        """
        root, folders = _class_folders(self.root)
        files = [file for n, folder in enumerate(folders) for file in _list(folder, n, root)]
        count = compare_count(root, "the set", len(files), COUNTS, self.strict)
        chosen, how = self.divide(files, split, root)
        return list_files(
            chosen,
            self._read,
            class_names=CLASS_NAMES,
            name="paf",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=(*count, *how, self._convention()),
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> PAF:
        """Write a recording of each action for each of five people."""
        for label, name in enumerate(CLASS_NAMES):
            folder = Path(root) / name.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            for person in range(1, 6):
                rng = np.random.default_rng([label, person])
                events = fake_recording(rng, RESOLUTION_HW, 50, label=label)
                path = folder / f"{person}_{label}.1.aedat"
                write_aedat2(path, davis346_address(events), events.t, "DAVIS346redColor")
        return cls(root, strict=False)

    def _read(self, path: Path) -> Events:
        events = read_events(path, camera="davis346")
        if self.raw_y:
            events = replace(events, y=(RESOLUTION_HW[0] - 1 - events.y).astype(np.int16))
        return replace(events, p=1 - events.p) if self.invert_polarity else events

    def _convention(self) -> str:
        rows = "upwards" if self.raw_y else "downwards"
        return f"rows {rows}, polarity {'exchanged' if self.invert_polarity else 'as in the files'}"


def _class_folders(root: str | None) -> tuple[Path, list[Path]]:
    """Return the folder of the class folders, and these in the order of the classes."""
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(f"root must be the folder of the data, got {root}; see {URL}")
    for place in (Path(root), *(p for p in visible(Path(root)) if p.is_dir())):
        found = _by_name([p for p in visible(place) if p.is_dir()])
        if found:
            return place, found
    raise FileNotFoundError(
        f"root must hold a folder for each of {', '.join(CLASS_NAMES)}, or 1 to 10, got {root}; "
        f"see {URL}"
    )


def _by_name(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of the classes, named by them or by their numbers, or none."""
    plain = {re.sub(r"[^a-z0-9]", "", folder.name.lower()): folder for folder in folders}
    names = [name.replace(" ", "") for name in CLASS_NAMES]
    if all(name in plain for name in names):
        return [plain[name] for name in names]
    numbers = {int(name): folder for name, folder in plain.items() if name.isdecimal()}
    first = 0 if 0 in numbers else 1
    wanted = range(first, first + len(CLASS_NAMES))
    return [numbers[n] for n in wanted] if all(n in numbers for n in wanted) else []


def _list(folder: Path, label: int, root: Path) -> list[Labelled]:
    files = []
    for path in visible(folder):
        if path.suffix.lower() != ".aedat":
            continue
        # The take follows a dot, so only the last ending is taken off.
        subject, _, rest = path.stem.partition("_")
        if not (subject and rest):
            raise ValueError(f"{path} must be named <subject>_<class>.<take>.aedat")
        name = path.relative_to(root).with_suffix("").as_posix()
        files.append(Labelled(path, label, name, subject))
    if not files:
        raise ValueError(f"{folder} must hold .aedat files, got none")
    return files

"""SeAct: 58 actions chosen for their meaning, 580 recordings.

Licence: research. Nothing is downloaded. DAVIS346, 346 x 260 pixels, AEDAT 4 in a folder for each
person, named <id>-<timestamp>.aedat4. The class is the number of four digits before `-`; numbers
are not contiguous (0 to 22, from 1000, from 2000), so labels are their ranks. Recordings that were
converted to npz or h5 are read too. Source: Zhou et al., ExACT (2024).

Published figures use 464 and 116 recordings by lists; without them the split is drawn so that no
person is on both sides.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import Labelled, compare_count, find_folder, list_files
from pcmamba.data.datasets.event_splits import OwnSplit
from pcmamba.data.datasets.fake_events import fake_recording
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import visible
from pcmamba.data.readers.events import read_events

URL = "https://github.com/jiazhou-garland/ExACT"
LICENCE = "research"
RESOLUTION_HW = (260, 346)
COUNT, CLASSES = 580, 58
_NAME = re.compile(r"(\d{4})-.+\.(aedat4|npz|h5)", re.IGNORECASE)


@DATASETS.register("seact")
@dataclass(frozen=True)
class SeAct(OwnSplit):
    """Actions chosen for their meaning, 58 classes, from <person>/<id>-<timestamp>.aedat4.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the persons' folders, or the one above it. A json in it that maps names
            to numbers, or the reverse, names the classes.
        train_list: A text file, below the root or elsewhere, that names the training files.
        test_list: The same of the test files; both lists or none.
        test_fraction: Without lists, the share of the people that is kept for test.
        seed: Of that draw.
        strict: Refuse other counts than the official ones; False only notes them.

    Raises:
        ValueError: A number is out of range, or one list is missing.
    """

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> LazyEventSet:
        """List the recordings of a split, person by person, by their names.

        Raises:
            ValueError: Unknown split, a json that does not name all classes, or other counts.
            FileNotFoundError: A folder or list is missing.
        """
        marks = tuple(f"*/[0-9][0-9][0-9][0-9]-*.{ending}" for ending in ("aedat4", "npz", "h5"))
        root = find_folder(self.root, marks, URL)
        paths = [
            path
            for folder in visible(root)
            if folder.is_dir()
            for path in visible(folder)
            if _NAME.fullmatch(path.name)
        ]
        numbers = sorted({_number(path) for path in paths})
        notes = compare_count(root, "the set", len(paths), COUNT, self.strict)
        notes += compare_count(root, "the classes", len(numbers), CLASSES, self.strict)
        files = [
            Labelled(
                path,
                numbers.index(_number(path)),
                path.relative_to(root).with_suffix("").as_posix(),
                path.parent.name,
            )
            for path in paths
        ]
        chosen, how = self.divide(files, split, root)
        return list_files(
            chosen,
            _read,
            class_names=_class_names(root, numbers),
            name="seact",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=(*notes, *how),
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> SeAct:
        """Write recordings of five people, as npz, and a json of names."""
        numbers = (0, 2, 10, 1000, 2003)
        for person in range(5):
            folder = Path(root) / f"person_{person}"
            folder.mkdir(parents=True, exist_ok=True)
            for label, number in enumerate(numbers):
                rng = np.random.default_rng([label, person])
                e = fake_recording(rng, RESOLUTION_HW, 50, label=label)
                path = folder / f"{number:04d}-2023_05_{person + 1:02d}.npz"
                np.savez(path, x=e.x, y=e.y, t=e.t, p=e.p)
        names = {f"doing {number}": number for number in numbers}
        (Path(root) / "SeAct.json").write_text(json.dumps(names))
        return cls(root, strict=False)


def _read(path: Path) -> Events:
    unit = None if path.suffix.lower() == ".aedat4" else "us"
    return read_events(path, t_unit=unit, resolution_hw=RESOLUTION_HW)


def _number(path: Path) -> int:
    return int(path.name[:4])


def _class_names(root: Path, numbers: list[int]) -> tuple[str, ...]:
    """Name the classes by a json in the folder, or by their numbers."""
    for path in visible(root):
        if path.suffix.lower() != ".json":
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            pairs = [(int(v), str(k)) for k, v in content.items()] if _is_int(content) else [
                (int(k), str(v)) for k, v in content.items()
            ]  # fmt: skip
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"{path} must map names to numbers or numbers to names") from None
        names = dict(pairs)
        missing = [number for number in numbers if number not in names]
        if missing:
            raise ValueError(f"{path} must name every class, got none for {missing[0]:04d}")
        return tuple(names[number] for number in numbers)
    return tuple(f"{number:04d}" for number in numbers)


def _is_int(content: dict[str, object]) -> bool:
    return all(isinstance(value, int) for value in content.values())

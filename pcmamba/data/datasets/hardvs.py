"""HARDVS: 300 everyday actions, 107,646 clips of 5 to 10 s.

Licence: research. Nothing is downloaded: unpack MINI_HARDVS_files.zip (md5
9c4cc0d9ba043faa17f6f1a9e9aff982) and the zip of each class in it, put the lists beside, and give
the folder as `root`. DAVIS346, 346 wide and 260 high, an npz of x, y, t, p a clip. The split is
the official one, by lists. Protocol: accuracy on test. Source: Wang et al., HARDVS (2024).
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
    list_files,
)
from pcmamba.data.datasets.fake_events import fake_recording
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import read_text_list
from pcmamba.data.readers.events import read_events

URL = "https://github.com/Event-AHU/HARDVS"
LICENCE = "research"
CLASS_NAMES = tuple(f"action_{number:03d}" for number in range(1, 301))
RESOLUTION_HW = (260, 346)
COUNTS = {"train": 64_526, "val": 10_734, "test": 32_386}
_ENDINGS = (".npz", ".aedat4")


@DATASETS.register("hardvs")
@dataclass(frozen=True)
class HARDVS:
    """Everyday actions, 300 classes, from action_NNN/<name>.npz by lists of train, val and test.

    Clips are read when a batch asks for them; `prepare` makes that quick but needs the space.

    Args:
        root: The folder of train_label.txt, val_label.txt and test_label.txt, or the one above.
        t_unit: Unit of the times in the files: "s", "ms", "us" or "ns".
        strict: Refuse other counts than the official ones, and lists that name missing files;
            False takes what is there and notes it.
    """

    root: str | None = None
    t_unit: str = "us"
    strict: bool = True

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def load(self, split: str) -> LazyEventSet:
        """List the clips of a split in the order of its list.

        Raises:
            ValueError: Unknown split, a line of another form, a label that is not that of the
                folder, or with `strict` other counts.
            FileNotFoundError: A list or, with `strict`, a clip is missing.
        """
        check_split(split, COUNTS)
        root = find_folder(self.root, ("train_label.txt",), URL)
        listed = _read_list(root / f"{split}_label.txt")
        notes = list(compare_count(root, split, len(listed), COUNTS[split], self.strict))
        there = _clips_on_disk(root)
        missing = [name for name, _ in listed if name not in there]
        if missing:
            said = f"{len(missing):,} clips of the list are missing, first {missing[0]}"
            if self.strict:
                raise FileNotFoundError(f"{root}: {said}; strict=False leaves them out")
            notes.append(said)
        return list_files(
            [Labelled(there[name], label, name) for name, label in listed if name in there],
            self._read,
            class_names=CLASS_NAMES,
            name="hardvs",
            split=split,
            resolution_hw=RESOLUTION_HW,
            notes=notes,
        )

    def check(self) -> list[str]:
        """Read train and test and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> HARDVS:
        """Write clips of four classes, and lists as they are: CRLF, no end of the last line."""
        lists: dict[str, list[str]] = {split: [] for split in COUNTS}
        for label in range(4):
            for number, split in enumerate(("train", "train", "val", "test")):
                rng = np.random.default_rng([label, number])
                events = fake_recording(rng, RESOLUTION_HW, 50, label=label)
                name = f"{CLASS_NAMES[label]}/dvSave-2021_09_{label + 1:02d}_10_00_{number:02d}"
                path = Path(root) / "MINI_HARDVS_files" / f"{name}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, x=events.x, y=events.y, t=events.t + 77, p=events.p)
                lists[split].append(f"{name} 8 {label}")
        for split, lines in lists.items():
            (Path(root) / f"{split}_label.txt").write_bytes("\r\n".join(lines).encode())
        return cls(root, strict=False)

    def _read(self, path: Path) -> Events:
        unit = None if path.suffix == ".aedat4" else self.t_unit
        return read_events(path, t_unit=unit, resolution_hw=RESOLUTION_HW)


def _read_list(path: Path) -> list[tuple[str, int]]:
    """Return (class folder/clip, label) of each line `action_NNN/name frames label`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a list of clips, found none; see {URL}")
    listed = []
    for line in read_text_list(path):
        place, *numbers = line.split()
        name = "/".join(place.replace("\\", "/").split("/")[-2:]).removesuffix(".npz")
        folder = name.partition("/")[0]
        if len(numbers) != 2 or not numbers[1].isdecimal() or folder not in CLASS_NAMES:
            raise ValueError(f"{path}: a line must be 'action_NNN/name frames label', got {line!r}")
        label = int(numbers[1])
        if label >= len(CLASS_NAMES) or CLASS_NAMES[label] != folder:
            raise ValueError(f"{path}: label must be the folder's number less 1, got {line!r}")
        listed.append((name, label))
    if len(set(listed)) < len(listed):
        raise ValueError(f"{path}: clips must be listed once, got {len(set(listed)):,} of them")
    return listed


def _clips_on_disk(root: Path) -> dict[str, Path]:
    """Return the clips by <class folder>/<name>; one look into each folder is quick."""
    clips: dict[str, Path] = {}
    for ending in reversed(_ENDINGS):
        for place in ("", "*/"):
            for path in root.glob(f"{place}action_*/*{ending}"):
                clips[f"{path.parent.name}/{path.name.removesuffix(ending)}"] = path
    return clips

"""DVS128 Gesture: 11 hand and arm gestures of 29 people in five kinds of light.

Licence: CC BY 4.0. Nothing is downloaded: unpack DvsGesture.tar.gz (md5
8a5c71fb11e24e5ca5b11866ca6c00a1) and give its folder, or the one above it, as `root`. DVS128,
128 x 128 pixels, AEDAT 3.1, one file a trial that holds all gestures one after the other, and a
csv of their times. The split is the official one, by person. Source: Amir et al., A Low Power,
Fully Event-Based Gesture Recognition System (2017).

Some rows of the csv files overlap (user22_led), so each is cut on its own. Every row counts 1,176
and 288 recordings; the set repacked as npy files, which is read too, has 1,077 and 264 of them.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from pcmamba.data.batch import Domain
from pcmamba.data.datasets import DATASETS
from pcmamba.data.datasets.event_files import (
    Labelled,
    check_split,
    compare_count,
    find_folder,
    list_files,
)
from pcmamba.data.datasets.fake_events import fake_recording, write_aedat3
from pcmamba.data.event_report import check_event_set
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.listing import last_part, read_text_list, visible
from pcmamba.data.readers.events import read_events

URL = "https://research.ibm.com/interactive/dvsgesture"
LICENCE = "CC BY 4.0"
# fmt: off
CLASS_NAMES = (
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise",
    "right arm counter-clockwise", "left arm clockwise", "left arm counter-clockwise", "arm roll",
    "air drums", "air guitar", "other gestures",
)
# fmt: on
RESOLUTION_HW = (128, 128)
COUNTS = {"train": (1176, 1077), "test": (288, 264)}
_REPACKED = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}


class _Cut(NamedTuple):
    """A gesture: from `start` to before `end`, microseconds on the clock of its trial."""

    trial: Path
    start: int
    end: int
    label: int
    name: str


@DATASETS.register("dvs128_gesture")
@dataclass(frozen=True)
class DVS128Gesture:
    """Hand and arm gestures of 29 people, 11 classes, cut from trials by their csv files.

    Recordings are read when a batch asks for them; `prepare` makes that quick.

    Args:
        root: The folder of the aedat files, or the one above it; or that of ibmGestureTrain.
        classes: 11, or 10 to leave out "other gestures".
        strict: Refuse other counts than the two official ones; False only notes them.

    Raises:
        ValueError: `classes` is neither.
    """

    root: str | None = None
    classes: int = 11
    strict: bool = True

    domain: ClassVar[Domain] = "events"
    licence: ClassVar[str] = f"{LICENCE}, {URL}"

    def __post_init__(self) -> None:
        if self.classes not in (10, 11):
            raise ValueError(f"classes must be 10 or 11, got {self.classes}")

    def load(self, split: str) -> LazyEventSet:
        """List the gestures of a split, trial by trial, in the order of the csv files.

        Raises:
            ValueError: Unknown split, a csv that holds something else, or other counts.
            FileNotFoundError: A folder or file is missing.
        """
        check_split(split, COUNTS)
        marks = ("trials_to_train.txt", "ibmGestureTrain/*/*.npy")
        root = find_folder(self.root, marks, URL)
        form = _repacked if (root / _REPACKED["train"]).is_dir() else _cut
        whole = form(root, split)
        count = compare_count(root, split, len(whole), COUNTS[split], self.strict)
        kept = whole.labels < self.classes
        chosen = whole.take(kept.nonzero().squeeze(1))
        said = () if bool(kept.all()) else (f"{int((~kept).sum())} of {CLASS_NAMES[10]} left out",)
        return replace(
            chosen,
            class_names=CLASS_NAMES[: self.classes],
            notes=(*count, *whole.notes, *said),
        )

    def check(self) -> list[str]:
        """Read both splits and describe them."""
        return check_event_set(self)

    @classmethod
    def make_fake(cls, root: str) -> DVS128Gesture:
        """Write two training trials and one test trial of all gestures."""
        folder = Path(root) / "DvsGesture"
        folder.mkdir(parents=True, exist_ok=True)
        trials = ("user01_lab", "user22_fluorescent_led", "user24_natural")
        for number, trial in enumerate(trials):
            _write_fake(folder, trial, np.random.default_rng(number))
        lines = [f"{trial}.aedat\r\n" for trial in trials]
        (folder / "trials_to_train.txt").write_text("".join(lines[:2]))
        (folder / "trials_to_test.txt").write_text(lines[2].strip())
        return cls(root, strict=False)


def _cut(root: Path, split: str) -> LazyEventSet:
    """List the rows of the csv files of a split's trials."""
    trials = [last_part(line) for line in read_text_list(root / f"trials_to_{split}.txt")]
    cuts = [cut for trial in trials for cut in _read_times(root / trial)]
    overlaps = sorted({a.trial.stem for a, b in itertools.pairwise(cuts) if _overlap(a, b)})
    notes = (f"gestures overlap in {', '.join(overlaps)}; each is cut on its own",)
    # Gestures are asked for trial after trial, and reading a trial takes a tenth of a second.
    read_trial = functools.lru_cache(maxsize=2)(_read_trial)

    def read(row: int) -> Events:
        events = read_trial(cuts[row].trial)
        return events.between(cuts[row].start - events.t0, cuts[row].end - events.t0)

    return _lazy(
        read,
        split,
        [cut.label for cut in cuts],
        tuple(cut.name for cut in cuts),
        tuple(_person(cut.trial.stem) for cut in cuts),
        notes if overlaps else (),
    )


def _repacked(root: Path, split: str) -> LazyEventSet:
    """List the npy files that hold one gesture each: x, y, p, t in milliseconds."""
    files = [
        Labelled(path, _label_of(path), f"{folder.name}/{path.stem}", _person(folder.name))
        for folder in visible(root / _REPACKED[split])
        if folder.is_dir()
        for path in visible(folder)
        if path.suffix == ".npy"
    ]
    return list_files(
        files,
        lambda path: read_events(path, order="xypt", t_unit="ms", resolution_hw=RESOLUTION_HW),
        class_names=CLASS_NAMES,
        name="dvs128_gesture",
        split=split,
        resolution_hw=RESOLUTION_HW,
        notes=("repacked npy files",),
    )


def _lazy(
    read: Callable[[int], Events],
    split: str,
    labels: list[int],
    ids: tuple[str, ...],
    groups: tuple[str, ...],
    notes: tuple[str, ...],
) -> LazyEventSet:
    rows, known = torch.arange(len(labels)), torch.tensor(labels, dtype=torch.int64)
    return LazyEventSet(
        read, rows, known, CLASS_NAMES, ids, "dvs128_gesture", split, RESOLUTION_HW,
        groups=groups, notes=notes,
    )  # fmt: skip


def _read_trial(path: Path) -> Events:
    return read_events(path, resolution_hw=RESOLUTION_HW)


def _read_times(trial: Path) -> list[_Cut]:
    path = trial.with_name(f"{trial.stem}_labels.csv")
    for file in (trial, path):
        if not file.is_file():
            raise FileNotFoundError(f"{file} must lie beside the list of trials, found none")
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    cuts = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            label, start, end = (int(cell) for cell in row)
        except ValueError:
            raise ValueError(
                f"{path}: line {number} must be class,start,end in whole numbers, got {row}"
            ) from None
        if not (1 <= label <= len(CLASS_NAMES) and start < end):
            raise ValueError(
                f"{path}: line {number} must have a class of 1 to 11 and start before end, "
                f"got {row}"
            )
        cuts.append(_Cut(trial, start, end, label - 1, f"{trial.stem}/{number - 2:02d}"))
    return cuts


def _overlap(first: _Cut, second: _Cut) -> bool:
    return first.trial == second.trial and second.start < first.end


def _person(trial: str) -> str:
    """Return the person; the light behind the first underscore may hold another."""
    return trial.partition("_")[0]


def _label_of(path: Path) -> int:
    if not path.stem.isdecimal() or int(path.stem) >= len(CLASS_NAMES):
        raise ValueError(f"{path} must be named by its class, 0 to 10")
    return int(path.stem)


def _write_fake(folder: Path, trial: str, rng: np.random.Generator) -> None:
    parts = [fake_recording(rng, RESOLUTION_HW, 40, label=k) for k in range(len(CLASS_NAMES))]
    starts = [1_000_000 * (3 + 2 * k) for k in range(len(parts))]
    events = Events.from_arrays(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.t + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.p for part in parts]),
        RESOLUTION_HW,
    )
    write_aedat3(folder / f"{trial}.aedat", events, "DVS128")
    first = starts[0]  # the times of `events` count from there
    rows = [f"{k + 1},{s - first},{s - first + 1_000_000}" for k, s in enumerate(starts)]
    text = "\r\n".join(["class,startTime_usec,endTime_usec", *rows])
    (folder / f"{trial}_labels.csv").write_text(text)

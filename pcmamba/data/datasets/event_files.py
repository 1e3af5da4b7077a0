"""Labelled files of recordings: what the sets of event recordings share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pcmamba.data.event_set import EventSet
from pcmamba.data.event_survey import gather_notes
from pcmamba.data.events import Events
from pcmamba.data.lazy_event_set import LazyEventSet


@dataclass(frozen=True)
class Labelled:
    """One file of a split.

    Attributes:
        path: The file.
        label: Its class.
        name: Its name in the set, the same on every machine.
        group: What must not straddle a split, such as the subject, or "" if not known.
    """

    path: Path
    label: int
    name: str
    group: str = ""


def read_files(
    files: Sequence[Labelled],
    read: Callable[[Path], Events],
    *,
    class_names: tuple[str, ...],
    name: str,
    split: str,
    resolution_hw: tuple[int, int] | None = None,
    notes: Iterable[str] = (),
) -> EventSet:
    """Read every file into one set; what readers noted is gathered, not repeated for each file.

    Raises:
        ValueError: There is no file, or one cannot be read; the file is named.
    """
    recordings = [read(file.path) for file in files]
    names = tuple(file.name for file in files)
    pairs = [(n, note) for n, r in zip(names, recordings, strict=True) for note in r.notes]
    groups = tuple(file.group for file in files)
    return EventSet.from_recordings(
        recordings,
        [file.label for file in files],
        class_names=class_names,
        ids=names,
        name=name,
        split=split,
        resolution_hw=resolution_hw,
        groups=groups if all(groups) else None,
        notes=(*notes, *gather_notes(pairs)),
    )


def list_files(
    files: Sequence[Labelled],
    read: Callable[[Path], Events],
    *,
    class_names: tuple[str, ...],
    name: str,
    split: str,
    resolution_hw: tuple[int, int],
    notes: Iterable[str] = (),
) -> LazyEventSet:
    """Make a set that reads a file when a batch asks for it.

    Raises:
        ValueError: There is no file.
    """
    groups = tuple(file.group for file in files)
    return LazyEventSet(
        lambda row: read(files[row].path),
        torch.arange(len(files)),
        torch.tensor([file.label for file in files], dtype=torch.int64),
        class_names,
        tuple(file.name for file in files),
        name,
        split,
        resolution_hw,
        groups=groups if all(groups) else None,
        notes=tuple(notes),
    )


def compare_count(
    where: Path | str, split: str, have: int, wanted: int | Sequence[int], strict: bool
) -> tuple[str, ...]:
    """Return a note if a split has not one of the official numbers of recordings.

    Raises:
        ValueError: It has not, and `strict` is set.
    """
    allowed = (wanted,) if isinstance(wanted, int) else tuple(wanted)
    if have in allowed:
        return (f"all {have:,} recordings of the official {split} split",)
    said = " or ".join(f"{count:,}" for count in allowed)
    fault = f"{split} must have {said} recordings, got {have:,}"
    if strict:
        raise ValueError(f"{where}: {fault}; strict=False takes them as they are")
    return (fault,)


def check_split(split: str, known: Iterable[str]) -> None:
    """Raise ValueError if there is no such split."""
    known = tuple(known)
    if split not in known:
        raise ValueError(f"split must be {' or '.join(known)}, got {split!r}")


def find_folder(root: str | None, marks: Sequence[str], source: str) -> Path:
    """Return `root` or a folder in it that holds a file or folder of a pattern in `marks`.

    Args:
        root: As the user gave it.
        marks: Patterns; one of them is enough.
        source: Where to get the data, for the message.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(f"root must be the folder of the data, got {root}; see {source}")
    below = sorted(p for p in Path(root).iterdir() if p.is_dir() and p.name[0] != ".")
    for place in (Path(root), *below):
        if any(next(place.glob(mark), None) is not None for mark in marks):
            return place
    raise FileNotFoundError(
        f"root must hold {' or '.join(marks)}, itself or in a folder, got {root}; see {source}"
    )

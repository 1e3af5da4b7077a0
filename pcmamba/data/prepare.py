"""Prepared sets: read and check the files once, then map arrays from disk.

A prepared form is a folder of npy files and `set.json`. It is written under a temporary name and
renamed, so it is whole or not there. It names the files it was made from with sizes and times, the
options and the version of its layout; if any differs it is not used, but made anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.event_set import EventSet
from pcmamba.data.event_survey import gather_notes
from pcmamba.data.growing_array import GrowingArray
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.structures import CloudSet

VERSION = 2
_META = "set.json"
_ENVIRONMENT = "PCMAMBA_CACHE"
_SPLITS = ("train", "test")
EVENT_DTYPES = (np.int16, np.int16, np.int64, np.uint8)  # of x, y, t, p


def cache_folder() -> Path:
    """Return where prepared sets lie: `PCMAMBA_CACHE`, or the user's cache folder."""
    given = os.environ.get(_ENVIRONMENT)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(base) / "pcmamba" / "sets"


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """A data set that is loaded from its prepared form wherever that is there and up to date.

    Attributes:
        kind: Name of the data set.
        dataset: The data set itself, which has a `root`, or None.
    """

    kind: str
    dataset: Any

    def folder(self) -> Path:
        """Return the folder of the prepared form, which need not exist."""
        return cache_folder() / f"{self.kind}-{_digest(self._identity())[:16]}"

    def load(self, split: str) -> LabelledSet:
        """Map a split from disk if it is prepared, or else let the data set read its files.

        Mapped tensors may be written to: that changes memory and never the files.

        Raises:
            ValueError: As the data set.
            FileNotFoundError: As the data set.
        """
        meta = self._fresh_meta() if split in _SPLITS else None
        if meta is None:
            loaded: LabelledSet = self.dataset.load(split)
            return loaded
        return _read_split(self.folder(), meta[split])

    def is_prepared(self) -> bool:
        """Tell whether a prepared form is there and up to date."""
        return self._fresh_meta() is not None

    def prepare(self, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
        """Read both splits, write the prepared form and return its folder; at once if it is there.

        Args:
            progress: Told the parts that are done, of how many.

        Raises:
            ValueError: The set has no files to read, or as the data set.
            FileNotFoundError: As the data set.
        """
        if getattr(self.dataset, "root", None) is None:
            raise ValueError(f"root must be given to prepare a set, got none for {self.kind}")
        target = self.folder()
        if self.is_prepared():
            progress(len(_SPLITS), len(_SPLITS))
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            temporary.mkdir()
            meta: dict[str, Any] = {**self._identity(), "sources": self._fingerprint()}
            for number, split in enumerate(_SPLITS):
                progress(number, len(_SPLITS))
                meta[split] = _write_split(temporary, self.dataset.load(split), split)
            (temporary / _META).write_text(json.dumps(meta), encoding="utf-8")
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        progress(len(_SPLITS), len(_SPLITS))
        return target

    def verify(self) -> None:
        """Compare the arrays with the checksums that were written with them.

        Raises:
            ValueError: An array has changed, or there is no prepared form.
        """
        meta = self._fresh_meta()
        if meta is None:
            raise ValueError(f"{self.kind} must be prepared to be verified, got none up to date")
        for split in _SPLITS:
            for name, entry in meta[split]["arrays"].items():
                path = self.folder() / f"{split}.{name}.npy"
                if _checksum(path) != entry["sha256"]:
                    raise ValueError(
                        f"{path} must have the checksum it was written with, got another"
                    )

    def _identity(self) -> dict[str, Any]:
        options = dataclasses.asdict(self.dataset)
        if options.get("root") is not None:
            options["root"] = str(Path(options["root"]).resolve())
        return {"version": VERSION, "kind": self.kind, "options": json.loads(json.dumps(options))}

    def _fresh_meta(self) -> dict[str, Any] | None:
        if getattr(self.dataset, "root", None) is None:
            return None
        path = self.folder() / _META
        if not path.is_file():
            return None
        try:
            meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return None
        same = all(meta.get(name) == value for name, value in self._identity().items())
        return meta if same and meta.get("sources") == self._fingerprint() else None

    def _fingerprint(self) -> str:
        """Return a digest of names, sizes and times of all files below the root."""
        root, rows = str(self.dataset.root), []
        for folder, below, files in os.walk(root):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    stat = os.stat(os.path.join(folder, name))
                    place = os.path.relpath(folder, root)
                    rows.append((place, name, stat.st_size, stat.st_mtime_ns))
        return _digest(rows)


def _write_split(folder: Path, data_set: LabelledSet, split: str) -> dict[str, Any]:
    if isinstance(data_set, LazyEventSet):
        return _write_lazy(folder, data_set, split)
    values: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for entry in dataclasses.fields(data_set):
        value = getattr(data_set, entry.name)
        if isinstance(value, Tensor):
            path = folder / f"{split}.{entry.name}.npy"
            np.save(path, value.numpy())
            arrays[entry.name] = {"sha256": _checksum(path)}
        else:
            values[entry.name] = value
    return {"form": type(data_set).__name__, "values": values, "arrays": arrays}


def _write_lazy(folder: Path, data_set: LazyEventSet, split: str) -> dict[str, Any]:
    """Write the columns recording by recording: the whole need not fit into memory."""
    paths = {name: folder / f"{split}.{name}.npy" for name in ("x", "y", "t", "p")}
    sizes, pairs = [0], []
    with contextlib.ExitStack() as stack:
        columns = {
            name: stack.enter_context(GrowingArray(path, dtype))
            for (name, path), dtype in zip(paths.items(), EVENT_DTYPES, strict=True)
        }
        for name, events in zip(data_set.ids, data_set, strict=True):
            for column, array in columns.items():
                array.append(getattr(events, column))
            sizes.append(len(events))
            pairs += [(name, note) for note in events.notes]
    for name, values in (("offsets", np.cumsum(sizes)), ("labels", data_set.labels.cpu().numpy())):
        paths[name] = folder / f"{split}.{name}.npy"
        np.save(paths[name], values)
    kept = ("class_names", "ids", "name", "split", "resolution_hw", "groups", "synthetic")
    said = {name: getattr(data_set, name) for name in kept}
    said["notes"] = [*data_set.notes, *gather_notes(pairs)]
    arrays = {name: {"sha256": _checksum(path)} for name, path in paths.items()}
    return {"form": "LazyEventSet", "values": said, "arrays": arrays}


def _read_split(folder: Path, meta: dict[str, Any]) -> LabelledSet:
    split = meta["values"]["split"]
    tensors: dict[str, Any] = {
        name: _map_array(folder / f"{split}.{name}.npy") for name in meta["arrays"]
    }
    values: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list) else v for n, v in meta["values"].items()
    }
    if meta["form"] == "CloudSet":
        return CloudSet(**values, **tensors)
    event_set = EventSet(**values, **tensors)
    return LazyEventSet.from_set(event_set) if meta["form"] == "LazyEventSet" else event_set


def _map_array(path: Path) -> Tensor:
    # "c": pages that somebody writes to are copied, the file never changes.
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def _swap(temporary: Path, target: Path) -> None:
    """Put the new folder in the place of an older one."""
    if target.exists():
        old = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        target.rename(old)
        temporary.rename(target)
        shutil.rmtree(old)
    else:
        temporary.rename(target)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

"""A labelled set of event recordings that are read when a batch asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.batch import Domain, EventBatch
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events


@dataclass(frozen=True, eq=False)
class LazyEventSet:
    """Labelled recordings of a set that is larger than memory; it is used as an `EventSet` is.

    Attributes:
        read: Reads recording k of the files, 0 to their number; called again for every batch.
        rows: (S,) int64 which of the files belong to this set, on the CPU.
        labels: (S,) int64 classes, 0 to the number of class names, on the device of the batches.
        class_names: Name of each class.
        ids: Name of each recording.
        name: Name of the data set.
        split: "train", "test", ….
        resolution_hw: H and W of the canvas, pixels, that holds the sensor of every recording.
        groups: What must not straddle a split, such as the subject of each recording, or None.
        synthetic: True for simulated recordings.
        notes: What the loader decided or found unusual, in words.

    Raises:
        ValueError: A length disagrees, or a label is out of range.
    """

    domain: ClassVar[Domain] = "events"
    unit: ClassVar[str] = "recordings"

    read: Callable[[int], Events]
    rows: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    name: str
    split: str
    resolution_hw: tuple[int, int]
    groups: tuple[str, ...] | None = None
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.labels)
        if size == 0:
            raise ValueError(f"labels must not be empty, got none for {self.name} {self.split}")
        sizes = {len(self.rows), len(self.ids), size if self.groups is None else len(self.groups)}
        if sizes != {size}:
            raise ValueError(f"rows, ids and groups must name the {size} recordings, got {sizes}")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise ValueError(
                f"labels must be in 0 … {len(self.class_names) - 1}, got {low} to {high}"
            )

    @classmethod
    def from_set(cls, event_set: EventSet) -> LazyEventSet:
        """Return a set that takes its recordings from another, whose arrays may be on disk."""
        e = event_set
        return cls(
            e.recording, torch.arange(len(e)), e.labels, e.class_names, e.ids, e.name, e.split,
            e.resolution_hw, e.groups, e.synthetic, e.notes,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Events]:
        return (self.recording(index) for index in range(len(self)))

    def recording(self, index: int) -> Events:
        """Read one recording.

        Raises:
            ValueError: It cannot be read, or its sensor is larger than the canvas.
        """
        events = self.read(int(self.rows[index]))
        (height, width), (most_h, most_w) = events.resolution_hw, self.resolution_hw
        if height > most_h or width > most_w:
            raise ValueError(
                f"{self.ids[index]}: the sensor must fit into {most_w} x {most_h}, got "
                f"{width} x {height}"
            )
        return events

    def batch(self, index: Tensor) -> EventBatch:
        """Read the recordings at `index` (B,) and return them on the device of the labels."""
        recordings = [self.recording(i) for i in index.tolist()]
        offsets = torch.tensor([0, *map(len, recordings)]).cumsum(0)
        columns = (
            torch.from_numpy(np.concatenate([getattr(r, name) for r in recordings]))
            for name in "xytp"
        )
        device = self.labels.device
        x, y, t, p = (column.to(device) for column in columns)
        labels = self.labels[index]
        return EventBatch(x, y, t, p, offsets.to(device), labels, index, self.resolution_hw)

    def take(self, index: Tensor) -> LazyEventSet:
        """Return the set of the recordings at `index` (S',)."""
        rows = index.tolist()
        groups = None if self.groups is None else tuple(self.groups[i] for i in rows)
        ids = tuple(self.ids[i] for i in rows)
        labels = self.labels[index.to(self.labels.device)]
        return replace(self, rows=self.rows[index.cpu()], labels=labels, ids=ids, groups=groups)

    def to(self, device: torch.device | str | None) -> LazyEventSet:
        """Return the set whose batches are on `device`; None leaves it as it is."""
        return replace(self, labels=self.labels.to(device))

    def resident(self) -> EventSet:
        """Read everything into memory."""
        return EventSet.from_recordings(
            list(self),
            self.labels.tolist(),
            class_names=self.class_names,
            ids=self.ids,
            name=self.name,
            split=self.split,
            resolution_hw=self.resolution_hw,
            groups=self.groups,
            synthetic=self.synthetic,
            notes=self.notes,
        )

"""A labelled set of event recordings, kept as one ragged whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.batch import Domain, EventBatch
from pcmamba.data.events import Events


@dataclass(frozen=True, eq=False)
class EventSet:
    """Labelled recordings of one sensor. Tensors are kept, not copied, never modified in place.

    Attributes:
        x: (E,) int16 columns of all recordings, one after the other.
        y: (E,) int16 rows.
        t: (E,) int64 microseconds from each recording's start, not falling within it.
        p: (E,) uint8 polarity, 1 brighter.
        offsets: (S + 1,) int64 bounds of the recordings, from 0 to E.
        labels: (S,) int64 classes, 0 to the number of class names.
        class_names: Name of each class.
        ids: Name of each recording.
        name: Name of the data set.
        split: "train", "test", ….
        resolution_hw: H and W of the sensor, pixels.
        groups: What must not straddle a split, such as the subject of each recording, or None.
        synthetic: True for simulated recordings.
        notes: What the loader decided or found unusual, in words.

    Raises:
        ValueError: A length disagrees, or a label is out of range.
    """

    domain: ClassVar[Domain] = "events"
    unit: ClassVar[str] = "recordings"

    x: Tensor
    y: Tensor
    t: Tensor
    p: Tensor
    offsets: Tensor
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
        size, events = len(self.labels), len(self.t)
        if size == 0:
            raise ValueError("labels must not be empty, got no recording")
        if any(len(column) != events for column in (self.x, self.y, self.p)):
            raise ValueError("x, y, t and p must have one length")
        ends = (int(self.offsets[0]), int(self.offsets[-1]))
        if len(self.offsets) != size + 1 or ends != (0, events):
            raise ValueError(
                f"offsets must be {size + 1} bounds from 0 to {events}, got {len(self.offsets)} "
                f"from {ends[0]} to {ends[1]}"
            )
        if len(self.ids) != size or (self.groups is not None and len(self.groups) != size):
            raise ValueError(f"ids and groups must name the {size} recordings")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise ValueError(
                f"labels must be in 0 … {len(self.class_names) - 1}, got {low} to {high}"
            )

    @classmethod
    def from_recordings(
        cls,
        recordings: Sequence[Events],
        labels: Sequence[int],
        *,
        class_names: tuple[str, ...],
        ids: tuple[str, ...],
        name: str,
        split: str,
        resolution_hw: tuple[int, int] | None = None,
        groups: tuple[str, ...] | None = None,
        synthetic: bool = False,
        notes: tuple[str, ...] = (),
    ) -> EventSet:
        """Join recordings. Without `resolution_hw`, the smallest canvas that holds every sensor."""
        if not recordings:
            raise ValueError(f"recordings must not be empty, got none for {name} {split}")
        if resolution_hw is None:
            sides = [recording.resolution_hw for recording in recordings]
            resolution_hw = (max(h for h, _ in sides), max(w for _, w in sides))
        x, y, t, p = (
            torch.from_numpy(
                np.concatenate([getattr(recording, column) for recording in recordings])
            )
            for column in "xytp"
        )
        sizes = torch.tensor([0, *map(len, recordings)])
        return cls(
            x, y, t, p, sizes.cumsum(0), torch.tensor(labels, dtype=torch.int64), class_names, ids,
            name, split, resolution_hw, groups, synthetic, notes,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def recording(self, index: int) -> Events:
        """Return one recording."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        x, y, t, p = (column[part].cpu().numpy() for column in (self.x, self.y, self.t, self.p))
        return Events(x, y, t, p, self.resolution_hw, source=f"{self.name} {self.ids[index]}")

    def batch(self, index: Tensor) -> EventBatch:
        """Return the recordings at `index` (B,) on the set's device."""
        x, y, t, p, offsets = self._gather(index)
        return EventBatch(x, y, t, p, offsets, self.labels[index], index, self.resolution_hw)

    def take(self, index: Tensor) -> EventSet:
        """Return the set of the recordings at `index` (S',)."""
        x, y, t, p, offsets = self._gather(index)
        rows = index.tolist()
        groups = None if self.groups is None else tuple(self.groups[i] for i in rows)
        ids = tuple(self.ids[i] for i in rows)
        return replace(
            self, x=x, y=y, t=t, p=p, offsets=offsets, labels=self.labels[index], ids=ids,
            groups=groups,
        )  # fmt: skip

    def to(self, device: torch.device | str | None) -> EventSet:
        """Return the set on `device`; None leaves it where it is."""
        names = ("x", "y", "t", "p", "offsets", "labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def _gather(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        first = self.offsets[index]
        sizes = self.offsets[index + 1] - first
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        rows = torch.repeat_interleave(first - offsets[:-1], sizes)
        rows = rows + torch.arange(len(rows), device=rows.device)
        return self.x[rows], self.y[rows], self.t[rows], self.p[rows], offsets

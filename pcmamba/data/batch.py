"""Batches as loaders hand them out, and the key of their random draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor

from pcmamba.data import random

Domain = Literal["clouds", "events"]  # what a data set holds and a model takes


@dataclass(frozen=True)
class CloudBatch:
    """Clouds of equal size.

    Attributes:
        points: (B, N, 3) float32, z up.
        labels: (B,) int64 class labels.
        index: (B,) int64 positions in the data set, which key the random draws.
        features: (B, N, C) float32 per-point channels besides the coordinates, or None.
    """

    points: Tensor
    labels: Tensor
    index: Tensor
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """What a model is called with."""
        return self.points, self.features

    def to(self, device: torch.device | str, non_blocking: bool = False) -> CloudBatch:
        """Return the batch on `device`."""
        return _moved(self, device, non_blocking)


@dataclass(frozen=True)
class EventBatch:
    """Recordings of any lengths, one after the other.

    Attributes:
        x: (E,) int16 columns.
        y: (E,) int16 rows.
        t: (E,) int64 microseconds, not falling within a recording.
        p: (E,) uint8 polarity, 1 brighter.
        offsets: (B + 1,) int64 bounds of the recordings, from 0 to E.
        labels: (B,) int64 class labels.
        index: (B,) int64 positions in the data set, which key the random draws.
        resolution_hw: H and W of the sensor, pixels.
    """

    x: Tensor
    y: Tensor
    t: Tensor
    p: Tensor
    offsets: Tensor
    labels: Tensor
    index: Tensor
    resolution_hw: tuple[int, int]

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> EventBatch:
        """Return the batch on `device`."""
        return _moved(self, device, non_blocking)


@dataclass(frozen=True)
class ClipBatch:
    """Clips of equally many frames.

    Attributes:
        frames: (B, T, C, H, W) float32.
        labels: (B,) int64 class labels.
        index: (B,) int64 positions in the data set, which key the random draws.
        background: Value of a pixel where nothing happened.
    """

    frames: Tensor
    labels: Tensor
    index: Tensor
    background: float = 0.0

    def __len__(self) -> int:
        return len(self.index)

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """What a model is called with."""
        return (self.frames,)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ClipBatch:
        """Return the batch on `device`."""
        return _moved(self, device, non_blocking)


ModelBatch: TypeAlias = CloudBatch | ClipBatch  # those a model is called with
OneBatch = TypeVar("OneBatch", CloudBatch, EventBatch, ClipBatch)


def _moved(batch: OneBatch, device: torch.device | str, non_blocking: bool) -> OneBatch:
    tensors: dict[str, Any] = {
        name: value.to(device, non_blocking=non_blocking)
        for name, value in vars(batch).items()
        if isinstance(value, Tensor)
    }
    return replace(batch, **tensors)


@dataclass(frozen=True)
class Draw:
    """Key of an epoch's random draws; see `pcmamba.data.random` for the functions behind it."""

    seed: int
    epoch: int

    def uniform(self, index: Tensor, stream: str, shape: Sequence[int] = ()) -> Tensor:
        """Draw float32 (*index.shape, *shape) in [0, 1)."""
        return random.uniform(self.seed, self.epoch, index, stream, shape)

    def normal(self, index: Tensor, stream: str, shape: Sequence[int] = ()) -> Tensor:
        """Draw standard normal float32 (*index.shape, *shape)."""
        return random.normal(self.seed, self.epoch, index, stream, shape)

    def uniform_at(self, index: Tensor, stream: str, row: Tensor, number: Tensor) -> Tensor:
        """Draw float32 (E,) in [0, 1): number `number[e]` of the index (B,) at `row[e]`."""
        drawn = random.bits_at(self.seed, self.epoch, index, stream, row, number)
        return random.to_uniform(drawn)

    def normal_at(self, index: Tensor, stream: str, row: Tensor, number: Tensor) -> Tensor:
        """Draw standard normal float32 (E,), as `uniform_at`."""
        drawn = random.bits_at(self.seed, self.epoch, index, stream, row, number)
        return random.to_normal(drawn)

    def permutation(self, index: Tensor, stream: str, size: int) -> Tensor:
        """Draw one permutation of `size` per index, int64 (*index.shape, size)."""
        return random.permutation(self.seed, self.epoch, index, stream, size)

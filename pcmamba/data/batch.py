"""A batch of clouds as loaders hand it out, and the key of its random draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pcmamba.data import random


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

    def to(self, device: torch.device | str, non_blocking: bool = False) -> CloudBatch:
        """Return the batch on `device`."""
        features = self.features
        return CloudBatch(
            self.points.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
            self.index.to(device, non_blocking=non_blocking),
            None if features is None else features.to(device, non_blocking=non_blocking),
        )


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

    def permutation(self, index: Tensor, stream: str, size: int) -> Tensor:
        """Draw one permutation of `size` per index, int64 (*index.shape, size)."""
        return random.permutation(self.seed, self.epoch, index, stream, size)

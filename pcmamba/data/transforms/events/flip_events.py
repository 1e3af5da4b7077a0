"""Random mirror images of recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms.base import TRANSFORMS
from pcmamba.data.transforms.events._ragged import check_share, places


@TRANSFORMS.register("flip_events")
@dataclass(frozen=True)
class FlipEvents:
    """Exchange left and right with probability `horizontal`, up and down with `vertical`.

    Where classes tell left from right, as in DVS128 Gesture, give the pairs that a horizontal flip
    exchanges, or leave it out.

    Args:
        horizontal: Probability of a flip along x.
        vertical: Probability of a flip along y.
        swap_labels: Pairs of classes that are each other's horizontal mirror image.
        stream: Name of the draws.

    Raises:
        ValueError: A probability is not in 0 … 1, or a class is in two pairs.
    """

    horizontal: float = 0.5
    vertical: float = 0.0
    swap_labels: tuple[tuple[int, int], ...] = ()
    stream: str = "flip_events"

    def __post_init__(self) -> None:
        check_share("horizontal", self.horizontal)
        check_share("vertical", self.vertical)
        classes = [label for pair in self.swap_labels for label in pair]
        if len(set(classes)) != 2 * len(self.swap_labels):
            raise ValueError(f"swap_labels must be pairs of different classes, got {classes}")

    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        """Mirror columns and rows, and exchange the labels of mirrored recordings."""
        row, _ = places(batch)
        unit = draw.uniform(batch.index, self.stream, (2,))
        across, upside = unit[:, 0] < self.horizontal, unit[:, 1] < self.vertical
        height, width = batch.resolution_hw
        return replace(
            batch,
            x=torch.where(across[row], width - 1 - batch.x, batch.x),
            y=torch.where(upside[row], height - 1 - batch.y, batch.y),
            labels=self._swapped(batch.labels, across),
        )

    def _swapped(self, labels: Tensor, across: Tensor) -> Tensor:
        new = labels
        for a, b in self.swap_labels:
            new = torch.where(across & (labels == a), b, new)
            new = torch.where(across & (labels == b), a, new)
        return new

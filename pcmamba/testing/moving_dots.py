"""Made-up event recordings whose class is a direction of motion, and a tiny model of clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.models import ClipClassifier

SIDE = 12
CLASSES = ("right", "left", "down")


def moving_dot(label: int, seed: int) -> Events:
    """Return a dot that crosses the sensor, brighter in front, with noise."""
    draw = np.random.default_rng([label, seed])
    size = int(draw.integers(60, 90))
    t = np.sort(draw.integers(0, 50_000, size))
    place = t * (SIDE - 1) // 50_000
    along = place if CLASSES[label] != "left" else SIDE - 1 - place
    across = np.clip(draw.integers(4, 8) + draw.integers(-1, 2, size), 0, SIDE - 1)
    x, y = (across, along) if CLASSES[label] == "down" else (along, across)
    return Events.from_arrays(x, y, t, draw.integers(0, 2, size), (SIDE, SIDE))


def event_set(split: str = "train", size: int = 24, groups: bool = False) -> EventSet:
    """Return recordings of all classes in turn, made by four subjects if they have `groups`."""
    labels = [i % len(CLASSES) for i in range(size)]
    return EventSet.from_recordings(
        [moving_dot(label, 2 * i + (split == "test")) for i, label in enumerate(labels)],
        labels,
        class_names=CLASSES,
        ids=tuple(f"{split}-{i}" for i in range(size)),
        name="dots",
        split=split,
        groups=tuple(f"subject {i // 6}" for i in range(size)) if groups else None,
        synthetic=True,
    )


@dataclass(frozen=True)
class Dots:
    """A data set as the registry holds them."""

    domain = "events"

    root: str | None = None
    size: int = 24

    def load(self, split: str) -> EventSet:
        """Make a split."""
        return event_set(split, self.size)


@dataclass(frozen=True)
class FlatConfig:
    """As much of a configuration as every model of clips has."""

    num_classes: int = 3
    in_channels: int = 2
    num_frames: int = 4
    image_hw: tuple[int, int] = (16, 16)
    patch: int = 4

    def build(self) -> FlatClips:
        """Make the model with fresh weights."""
        return FlatClips(self)


class FlatClips(ClipClassifier):
    """One linear layer over all pixels of all frames."""

    def __init__(self, config: FlatConfig) -> None:
        super().__init__()
        self.config = config
        height, width = config.image_hw
        size = config.num_frames * config.in_channels * height * width
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(size, config.num_classes))

    def forward(self, frames: Tensor) -> Tensor:
        """Map clips (B, T, C, H, W) to (B, classes)."""
        logits: Tensor = self.head(frames)
        return logits

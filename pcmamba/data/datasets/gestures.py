"""Simulated gestures: ten classes that differ in the order of time, with nothing to download.

Figures of capsules move an arm, or two, in front of a simulated event camera
(pcmamba/data/gestures). The classes are five pairs, each class being the other one of its pair
played backwards: a circle clockwise or counter-clockwise, left and then right or the reverse. What
was seen where is alike within a pair, and since arms are darker than the background as often as
brighter, the polarity does not tell either. Performer, proportions, place, size, speed, pauses,
contrast, background and sensor are drawn for each recording.

Recording k of a split is made from (seed, split, k) alone and has class k mod 10, so a smaller set
is the beginning of a larger one, and classes are balanced and mixed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.gestures import GESTURES, Sensor, simulate

_SPLITS = {"train": 0, "test": 1}
_LEAST = {"train_size": 1, "test_size": 1, "side": 16, "seed": 0}


@DATASETS.register("gestures")
@dataclass(frozen=True)
class Gestures:
    """Simulated gestures before an event camera, classes by order of time; no files.

    Args:
        root: Not used, there is nothing on disk.
        train_size: Recordings in the train split.
        test_size: Recordings in the test split, made from other keys than the train split.
        side: H and W of the sensor, pixels.
        seed: At least 0; another seed gives other recordings.
        sensor: How good the sensor is.

    Raises:
        ValueError: A number is out of range, or (`load`, `recording`) the split is unknown.
    """

    domain = "events"

    root: str | None = None
    train_size: int = 2400
    test_size: int = 500
    side: int = 48
    seed: int = 0
    sensor: Sensor = field(default_factory=Sensor)

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")

    def load(self, split: str) -> EventSet:
        """Generate a split; the last splits asked for are kept in memory."""
        _split_number(split)
        return _generate(self, split)

    def recording(self, split: str, index: int) -> Events:
        """Generate one recording: the one that the split holds at `index`."""
        name = tuple(GESTURES)[index % len(GESTURES)]
        return simulate(name, self.side, self.sensor, self.seed, _split_number(split), index)

    def check(self) -> list[str]:
        """Say what the set holds; there are no files that could be wrong."""
        return [
            "gestures: synthetic, simulated figures before a simulated event camera, no files",
            f"classes: {len(GESTURES)}, sensor: {self.side} x {self.side}",
            f"train: {self.train_size} recordings, test: {self.test_size} recordings, "
            f"seed {self.seed}",
        ]

    @classmethod
    def make_fake(cls, root: str | None) -> Gestures:
        """Return a small set for tests."""
        return cls(root, train_size=40, test_size=20, side=24)


@lru_cache(maxsize=2)
def _generate(gestures: Gestures, split: str) -> EventSet:
    size = gestures.train_size if split == "train" else gestures.test_size
    # The loops of the simulator let go of the interpreter's lock, so threads work side by side.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        recordings = list(pool.map(lambda k: gestures.recording(split, k), range(size)))
    return EventSet.from_recordings(
        recordings,
        [k % len(GESTURES) for k in range(size)],
        class_names=tuple(GESTURES),
        ids=tuple(f"gestures-{gestures.seed}-{split}-{k:05d}" for k in range(size)),
        name="gestures (synthetic)",
        split=split,
        resolution_hw=(gestures.side, gestures.side),
        synthetic=True,
        notes=(f"synthetic recordings simulated from seed {gestures.seed}",),
    )


def _split_number(split: str) -> int:
    if split not in _SPLITS:
        raise ValueError(f"split must be one of {', '.join(_SPLITS)}, got {split!r}")
    return _SPLITS[split]

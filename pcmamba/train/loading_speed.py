"""How many clouds a second reach a training step."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from pcmamba.data.batch import CloudBatch
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.structures import CloudSet
from pcmamba.data.transforms import RandomSubset
from pcmamba.models import Preprocessing
from pcmamba.train.datamodule import make_transforms
from pcmamba.train.inputs import Prepare

AUGMENT = [{"scale": {"low": 2 / 3, "high": 1.5}}, {"shift": {"distance": 0.2}}]


def loading_speed(
    cloud_set: CloudSet,
    *,
    num_points: int = 1024,
    batch_size: int = 32,
    device: str | None = None,
    seconds: float = 3.0,
) -> float:
    """Return clouds per second of shuffled, subsampled, normalised, scaled and shifted batches.

    Args:
        cloud_set: The clouds; they stay on `device`, as in training.
        num_points: Points of a cloud in a batch, drawn anew each time.
        batch_size: Clouds of a batch.
        device: Default: a GPU if there is one.
        seconds: How long to measure, after one second of warming up.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    preprocessing = Preprocessing(num_points=num_points)
    loader = ResidentLoader(
        cloud_set,
        min(batch_size, len(cloud_set)),
        shuffle=True,
        seed=0,
        device=device,
        transforms=[RandomSubset(num_points), Prepare(preprocessing), *make_transforms(AUGMENT)],
        drop_last=True,
    )
    batches = _endless(loader)
    _count(batches, device, min(1.0, seconds))
    clouds, taken = _count(batches, device, seconds)
    return clouds / taken


def _endless(loader: ResidentLoader) -> Iterator[CloudBatch]:
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def _count(batches: Iterator[CloudBatch], device: str, seconds: float) -> tuple[int, float]:
    clouds, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        clouds += len(next(batches).labels)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return clouds, time.perf_counter() - start

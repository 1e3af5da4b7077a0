"""How many clouds or recordings a second reach a training step."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from pcmamba.data.batch import ClipBatch, CloudBatch
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.structures import CloudSet
from pcmamba.data.transforms import RandomSubset, Transform
from pcmamba.models import ClipPreprocessing, Preprocessing
from pcmamba.train.datamodule import make_transforms
from pcmamba.train.inputs import Prepare, Represent

AUGMENT = [{"scale": {"low": 2 / 3, "high": 1.5}}, {"shift": {"distance": 0.2}}]


def loading_speed(
    data_set: LabelledSet,
    *,
    num_points: int = 1024,
    batch_size: int = 32,
    device: str | None = None,
    seconds: float = 3.0,
) -> float:
    """Return how many a second come in shuffled batches as a model is called with.

    Clouds are subsampled, normalised, scaled and shifted; recordings are drawn as eight frames of
    the sensor's size.

    Args:
        data_set: What is resident stays on `device`, as in training.
        num_points: Points of a cloud in a batch, drawn anew each time.
        batch_size: Clouds or recordings of a batch.
        device: Default: a GPU if there is one.
        seconds: How long to measure, after one second of warming up.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    preprocessing = Preprocessing(num_points=num_points)
    transforms: list[Transform] = [Represent(ClipPreprocessing(size_hw=None))]
    if isinstance(data_set, CloudSet):
        transforms = [RandomSubset(num_points), Prepare(preprocessing), *make_transforms(AUGMENT)]
    loader = ResidentLoader(
        data_set,
        min(batch_size, len(data_set)),
        shuffle=True,
        seed=0,
        device=device,
        transforms=transforms,
        drop_last=True,
    )
    batches = _endless(loader)
    _count(batches, device, min(1.0, seconds))
    number, taken = _count(batches, device, seconds)
    return number / taken


def _endless(loader: ResidentLoader) -> Iterator[CloudBatch | ClipBatch]:
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def _count(
    batches: Iterator[CloudBatch | ClipBatch], device: str, seconds: float
) -> tuple[int, float]:
    number, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        number += len(next(batches).labels)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return number, time.perf_counter() - start

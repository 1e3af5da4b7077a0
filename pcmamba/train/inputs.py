"""From a data set's batches to what a model is called with: sampled clouds, drawn clips."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass

from pcmamba.data.batch import ClipBatch, CloudBatch, Draw, EventBatch
from pcmamba.data.transforms import FirstPoints, RandomSubset, Transform
from pcmamba.models import ClipPreprocessing, EventCloudPreprocessing, Preprocessing

AnyPreprocessing = Preprocessing | ClipPreprocessing | EventCloudPreprocessing

_CUTS = {
    "count": "frames of equal events",
    "time": "frames of equal time",
    "adaptive": "adaptive frames",
}
WORDS = {CloudBatch: "clouds", EventBatch: "events", ClipBatch: "clips"}


@dataclass(frozen=True)
class Prepare:
    """Bring clouds to the place and size that the model expects; nothing is random."""

    preprocessing: Preprocessing

    def __call__(self, batch: CloudBatch, draw: Draw) -> CloudBatch:
        """Normalise each cloud by its own points."""
        return dataclasses.replace(batch, points=self.preprocessing.normalize(batch.points))


@dataclass(frozen=True)
class Represent:
    """Draw recordings as the clips that the model expects; nothing is random."""

    preprocessing: ClipPreprocessing

    def __call__(self, batch: EventBatch, draw: Draw) -> ClipBatch:
        """Cut and draw each recording by its own events."""
        columns = (batch.x, batch.y, batch.t, batch.p, batch.offsets)
        frames = self.preprocessing.frames(*columns, batch.resolution_hw)
        return ClipBatch(frames, batch.labels, batch.index, self.preprocessing.fill)


@dataclass(frozen=True)
class Gather:
    """Turn recordings into clouds of as many events as the model expects.

    With a `stream`, the events are drawn anew in every epoch; without, evenly spaced.
    """

    preprocessing: EventCloudPreprocessing
    stream: str | None = None

    def __call__(self, batch: EventBatch, draw: Draw) -> CloudBatch:
        """Choose, place and scale each recording's events."""
        place = None
        if self.stream is not None:
            place = draw.uniform(batch.index, self.stream, (self.preprocessing.num_events,))
        columns = (batch.x, batch.y, batch.t, batch.p, batch.offsets)
        points, features = self.preprocessing.cloud(*columns, batch.resolution_hw, place)
        return CloudBatch(points, batch.labels, batch.index, features)


def training_transforms(
    preprocessing: AnyPreprocessing, augment: Sequence[Transform]
) -> list[Transform]:
    """Return what turns a set's batches into augmented inputs of a model.

    Clouds are sampled, prepared and then augmented. Of events, the recordings are augmented, then
    drawn or gathered, and then the clips or clouds are augmented.

    Raises:
        ValueError: A transform is of something else, or one of events comes after one of clips.
    """
    takes, middle = _takes(preprocessing), _steps(preprocessing, training=True)
    kinds = [_checked(transform, takes) for transform in augment]
    if kinds != sorted(kinds, key=takes.index):
        raise ValueError(
            f"data.augment must have transforms of {takes[0]} before those of {takes[-1]}, "
            f"got {', '.join(kinds)}"
        )
    early = kinds.count("events")
    return [*augment[:early], *middle, *augment[early:]]


def evaluation_transforms(preprocessing: AnyPreprocessing) -> list[Transform]:
    """Return what turns a set's batches into inputs of a model; nothing is random."""
    return _steps(preprocessing, training=False)


def _steps(preprocessing: AnyPreprocessing, training: bool) -> list[Transform]:
    if isinstance(preprocessing, ClipPreprocessing):
        return [Represent(preprocessing)]
    if isinstance(preprocessing, EventCloudPreprocessing):
        return [Gather(preprocessing, "events of a cloud" if training else None)]
    size = preprocessing.num_points
    return [RandomSubset(size) if training else FirstPoints(size), Prepare(preprocessing)]


def _takes(preprocessing: AnyPreprocessing) -> tuple[str, ...]:
    """Return what may be augmented, in order."""
    if isinstance(preprocessing, Preprocessing):
        return ("clouds",)
    return ("events", "clips" if isinstance(preprocessing, ClipPreprocessing) else "clouds")


def batch_type(transform: Transform) -> type:
    """Return the kind of batch that a transform acts on, by its annotation."""
    kind: type = typing.get_type_hints(type(transform).__call__)["batch"]
    return kind


def _checked(transform: Transform, takes: Sequence[str]) -> str:
    kind = WORDS[batch_type(transform)]
    if kind not in takes:
        name = type(transform).__name__
        raise ValueError(
            f"data.augment must be transforms of {' or '.join(takes)} for this model, "
            f"got {name}, which transforms {kind}"
        )
    return kind


def in_words(preprocessing: AnyPreprocessing) -> str:
    """Say what a model sees of a recording in an evaluation."""
    if isinstance(preprocessing, Preprocessing):
        return f"first {preprocessing.num_points} points of each"
    if isinstance(preprocessing, EventCloudPreprocessing):
        return f"{preprocessing.num_events} evenly spaced events of each"
    canvas = preprocessing.size_hw or preprocessing.resolution_hw
    size = "" if canvas is None else f", {canvas[0]} x {canvas[1]}"
    frames = f"{preprocessing.num_frames} {_CUTS[preprocessing.slicing]}"
    return f"{frames}, {preprocessing.representation}{size}"

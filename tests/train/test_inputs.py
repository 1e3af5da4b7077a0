"""What becomes of a batch before a model sees it, and which augmentations fit where."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from pcmamba.data.batch import ClipBatch, Draw, EventBatch
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.transforms import AugmentClip, Scale
from pcmamba.models import ClipPreprocessing, EventCloudPreprocessing, Preprocessing
from pcmamba.testing.moving_dots import SIDE, event_set
from pcmamba.train.inputs import evaluation_transforms, in_words, training_transforms

CLIPS = ClipPreprocessing(num_frames=4, representation="histogram", size_hw=None, patch_size=4)
CLOUD = EventCloudPreprocessing(num_events=20)


@dataclass(frozen=True)
class Mirror:
    def __call__(self, batch: EventBatch, draw: Draw) -> EventBatch:
        return replace(batch, x=SIDE - 1 - batch.x)


@dataclass(frozen=True)
class Dim:
    def __call__(self, batch: ClipBatch, draw: Draw) -> ClipBatch:
        return replace(batch, frames=batch.frames / 2)


def batches(transforms, **options):
    settings = {"shuffle": False, "seed": 3, "transforms": transforms, **options}
    return list(ResidentLoader(event_set(), 5, **settings))


def test_recordings_become_the_clips_of_their_preprocessing():
    events, seen = event_set(), batches(evaluation_transforms(CLIPS))
    frames = torch.cat([batch.frames for batch in seen])
    assert frames.shape == (24, 4, 2, SIDE, SIDE)
    assert torch.equal(torch.cat([batch.labels for batch in seen]), events.labels)
    one = events.batch(torch.tensor([7]))
    alone = CLIPS.frames(one.x, one.y, one.t, one.p, one.offsets, one.resolution_hw)
    assert torch.equal(frames[7], alone[0])


def test_events_are_augmented_before_they_are_drawn_and_clips_after():
    plain = batches(evaluation_transforms(CLIPS))[0].frames
    changed = batches(training_transforms(CLIPS, [Mirror(), Dim()]))[0].frames
    assert torch.equal(changed, plain.flip(-1) / 2)


@pytest.mark.parametrize("background", ["white", "black"])
def test_clips_moved_by_their_augmentation_are_filled_with_their_background(background):
    drawn = replace(CLIPS, representation="drawn", background=background)
    erase = AugmentClip(shear=0, translate=0, rotate=0, cut_out=1.0)
    plain = batches(evaluation_transforms(drawn))[0].frames
    [first, *_] = batches(training_transforms(drawn, [erase]))
    changed = first.frames != plain
    assert first.background == (1.0 if background == "white" else 0.0)
    assert changed.any()
    assert (first.frames[changed] == first.background).all()


def test_clouds_of_events_are_drawn_anew_in_training_and_fixed_in_evaluation():
    fixed, again = (batches(evaluation_transforms(CLOUD))[1] for _ in range(2))
    assert fixed.points.shape == (5, 20, 3) and fixed.features.shape == (5, 20, 1)
    assert torch.equal(fixed.points, again.points)
    trained, other = (batches(training_transforms(CLOUD, []), seed=seed)[1] for seed in (3, 4))
    assert not torch.equal(trained.points, fixed.points)
    assert torch.equal(trained.points, batches(training_transforms(CLOUD, []))[1].points)
    assert not torch.equal(trained.points, other.points)


@pytest.mark.parametrize(
    ("preprocessing", "augment", "message"),
    [
        (CLIPS, [Scale(0.9, 1.1)], "of events or clips for this model, got Scale, .* clouds"),
        (CLIPS, [Dim(), Mirror()], "of events before those of clips, got clips, events"),
        (Preprocessing(), [Mirror()], "of clouds for this model, got Mirror, .* events"),
        (CLOUD, [Scale(0.9, 1.1), Mirror()], "of events before those of clouds"),
    ],
)
def test_augmentations_of_something_else_are_refused(preprocessing, augment, message):
    with pytest.raises(ValueError, match=message):
        training_transforms(preprocessing, augment)


def test_the_words_of_the_protocol():
    assert in_words(Preprocessing(64)) == "first 64 points of each"
    assert in_words(CLOUD) == "20 evenly spaced events of each"
    assert in_words(replace(CLIPS, size_hw=(16, 24))) == (
        "4 frames of equal events, histogram, 16 x 24"
    )

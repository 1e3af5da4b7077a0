"""Training, resuming and evaluating on event recordings, as frames and as clouds."""

from __future__ import annotations

import json

import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.models import MODELS, Classifier, ClipPreprocessing, EventCloudPreprocessing
from pcmamba.testing.moving_dots import CLASSES, Dots, FlatConfig, event_set
from pcmamba.train.build import build_model
from pcmamba.train.checkpoint import list_checkpoints
from pcmamba.train.evaluate import evaluate
from pcmamba.train.module import ClassificationModule
from pcmamba.train.recipe_file import parse_recipe
from pcmamba.train.run import train

COMMON = """
seed: 1
optim: {lr: 0.02, warmup_epochs: 0, label_smoothing: 0}
trainer: {accelerator: cpu, max_epochs: 3, checkpoint_every_n_steps: 2, progress_bar: false}
"""
CLIPS = """
model: {name: flat}
data:
  name: dots
  batch_size: 6
  preprocessing: {num_frames: 5, representation: histogram, slicing: time, size_hw: null, clip: 2}
"""
CLOUDS = """
model:
  name: pcm_events_nano
  overrides: {widths: [16, 16, 16], embed_dim: 16, neighbours: 4}
data:
  name: dots
  batch_size: 6
  preprocessing: {num_events: 32}
  augment:
    - scale: {low: 0.9, high: 1.1}
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(DATASETS._entries, "dots", Dots)
    monkeypatch.setitem(MODELS._entries, "flat", FlatConfig)


def recipe(text, out, *more):
    return parse_recipe(text + COMMON, [f"--out={out}", *more])


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes()


def test_a_clip_model_learns_is_evaluated_and_saved_with_its_preprocessing(tmp_path):
    result = train(recipe(CLIPS, tmp_path / "run", "--trainer.max_epochs=15"))
    assert result.report.overall_accuracy > 0.8
    assert result.report.protocol == (
        "synthetic dots, test split, 24 recordings, 5 frames of equal time, histogram, 12 x 12, "
        "float32, one view, no voting"
    )
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["test"]["recordings"] == 24
    assert "recordings" in result.report.table().splitlines()[0]
    model = Classifier.from_pretrained(tmp_path / "run" / "model")
    assert model.class_names == CLASSES
    assert model.preprocessing == ClipPreprocessing(
        num_frames=5, slicing="time", representation="histogram", resolution_hw=(12, 12),
        size_hw=None, patch_size=4, clip=2,
    )  # fmt: skip
    assert (model.config.in_channels, model.config.num_frames, model.config.image_hw) == (
        2, 5, (12, 12)
    )  # fmt: skip
    assert evaluate(model, event_set("test")).confusion == result.report.confusion


@pytest.mark.parametrize("text", [CLIPS, CLOUDS], ids=["clips", "clouds"])
def test_an_interrupted_run_ends_with_the_same_bits(text, tmp_path, monkeypatch):
    train(recipe(text, tmp_path / "whole"))
    real, calls = ClassificationModule.training_step, []

    def dies(self, *args):
        calls.append(args)
        if len(calls) == 7:
            raise RuntimeError("killed")
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", dies)
        with pytest.raises(RuntimeError, match="killed"):
            train(recipe(text, tmp_path / "broken"))
    assert list_checkpoints(tmp_path / "broken" / "checkpoints")
    train(recipe(text, tmp_path / "broken"), resume=tmp_path / "broken")
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_a_point_model_sees_events_as_a_cloud(tmp_path):
    result = train(recipe(CLOUDS, tmp_path / "run", "--trainer.max_epochs=1"))
    assert "32 evenly spaced events of each" in result.report.protocol
    model = Classifier.from_pretrained(tmp_path / "run" / "model")
    assert model.preprocessing == EventCloudPreprocessing(32, (12, 12))
    batches = [evaluate(model, event_set("test"), batch_size=size) for size in (24, 5)]
    assert batches[0].confusion == batches[1].confusion


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.name=pcm_nano"], "events of data set dots, got pcm_nano, which takes clouds; "),
        (["--data.name=shapes"], "clouds of data set shapes, got flat, which takes events; models"),
        (["--data.preprocessing={num_frame: 3}"], "for flat must be .* Did you mean 'num_frames'"),
        (["--data.augment=[{scale: {low: 1, high: 1}}]"], "must be transforms of events or clips"),
    ],
)
def test_what_does_not_fit_together_is_named_before_data_are_read(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(recipe(CLIPS, tmp_path / "run", *options))
    assert not (tmp_path / "run").exists()


def test_a_model_of_clouds_is_not_evaluated_on_events():
    model = MODELS["pcm_nano"]().build()
    model.name = "pcm_nano"
    with pytest.raises(ValueError, match=r"events of data set dots.*pcm_nano.*pcm_events"):
        evaluate(model, event_set())
    flat = build_model(recipe(CLIPS, "unused"), event_set())
    with pytest.raises(ValueError, match="votes must be 0 for a model of events, got 2"):
        evaluate(flat, event_set(), votes=2)


def test_drawn_frames_are_what_a_clip_model_gets_by_default():
    text = CLIPS.replace("representation: histogram, ", "representation: drawn, ")
    model = build_model(recipe(text, "unused"), event_set())
    assert (model.config.in_channels, model.preprocessing.channels) == (3, 3)
    batch = event_set().batch(torch.arange(2))
    frames = model.preprocessing.frames(
        batch.x, batch.y, batch.t, batch.p, batch.offsets, batch.resolution_hw
    )
    assert model(frames).shape == (2, 3)

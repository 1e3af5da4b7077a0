"""Asking a model of events about recordings: files, events, windows, both kinds of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcmamba.data.events import Events
from pcmamba.models import ClipPreprocessing, create_model
from pcmamba.testing.moving_dots import CLASSES, FlatClips, FlatConfig, moving_dot
from pcmamba.train.event_predictor import EventPredictor, pieces
from pcmamba.train.predictor import load


@pytest.fixture(scope="module")
def predictor() -> EventPredictor:
    torch.manual_seed(0)
    model = FlatClips(FlatConfig(image_hw=(12, 12)))
    model.class_names = CLASSES
    model.preprocessing = ClipPreprocessing(
        num_frames=4, representation="histogram", resolution_hw=(12, 12), size_hw=None, patch_size=4
    )
    return EventPredictor(model)


def test_a_recording_gets_the_models_own_answer(predictor):
    events = moving_dot(1, 5)
    found = predictor.predict(events, top=2)
    columns = [torch.from_numpy(getattr(events, name)) for name in "xytp"]
    bounds = torch.tensor([0, len(events)])
    frames = predictor.model.preprocessing.frames(*columns, bounds, events.resolution_hw)
    wanted = predictor.model(frames)[0].double().softmax(0)
    assert found.probabilities == tuple(wanted.sort(descending=True).values[:2].tolist())
    assert found.label == CLASSES[int(wanted.argmax())]
    assert (found.num_points, found.unit) == (len(events), "events")
    assert found.note.startswith(f"{len(events)} events in 0.05 s; 4 frames of equal events")
    assert found.as_dict()["num_events"] == len(events)


def test_a_file_and_its_events_give_the_same(predictor, tmp_path):
    events = moving_dot(0, 3)
    path = tmp_path / "rec.npz"
    np.savez(path, x=events.x, y=events.y, t=events.t, p=events.p)
    from_file = predictor.predict(path, t_unit="us", resolution_hw=(12, 12))
    assert from_file.probabilities == predictor.predict(events).probabilities
    assert from_file.source == str(path)


def test_windows_are_answered_alone_and_hold_every_event(predictor):
    events = moving_dot(2, 4)
    found = predictor.predict_windows(events, 20_000)
    assert [one.note.split(":")[0] for one in found] == [
        "from 0.00 s",
        "from 0.02 s",
        "from 0.04 s",
    ]
    assert sum(one.num_points for one in found) == len(events)
    second = predictor.predict(events.between(20_000, 40_000))
    assert found[1].probabilities == second.probabilities
    starts, parts = zip(*pieces(events, 7_000), strict=True)
    assert starts[:3] == (0, 7_000, 14_000)
    assert [p.t0 - events.t0 for p in parts] == list(starts)


def test_a_recording_without_events_has_an_answer(predictor):
    found = predictor.predict(Events.empty((12, 12)))
    assert sum(found.probabilities) == pytest.approx(1.0)
    assert len(predictor.predict_windows(Events.empty((12, 12)), 1000)) == 1


def test_a_loaded_point_model_answers_too_but_does_not_stream(tmp_path):
    small = {"widths": (16, 16, 16), "embed_dim": 16, "neighbours": 4, "num_points": 32}
    create_model("pcm_events_nano", num_classes=3, **small).save_pretrained(tmp_path / "model")
    predictor = load(tmp_path / "model", device="cpu")
    assert isinstance(predictor, EventPredictor)
    first, second = (predictor.predict(moving_dot(0, 1)) for _ in range(2))
    assert first == second
    assert "32 evenly spaced events" in first.note
    with pytest.raises(NotImplementedError, match="stream needs a spikmamba model, got pcm_events"):
        predictor.stream()


def test_documented_errors(predictor, tmp_path):
    with pytest.raises(ValueError, match="top must be at least 1, got 0"):
        predictor.predict(moving_dot(0, 0), top=0)
    with pytest.raises(ValueError, match="window_us must be at least 1, got 0"):
        predictor.predict_windows(moving_dot(0, 0), 0)
    with pytest.raises(ValueError, match="order must not be given for events"):
        predictor.predict(moving_dot(0, 0), order="xytp")
    with pytest.raises(ValueError, match=r"must fit the canvas \(12, 12\)"):
        predictor.predict(Events.empty((13, 12)))
    with pytest.raises(FileNotFoundError, match=r"gone\.npz"):
        predictor.predict(tmp_path / "gone.npz")

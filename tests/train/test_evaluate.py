from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from pcmamba.data.batch import CloudBatch, Draw
from pcmamba.data.datasets import DATASETS
from pcmamba.data.transforms import Scale
from pcmamba.models import PointClassifier, Preprocessing
from pcmamba.train.evaluate import evaluate, read_report
from pcmamba.train.metrics import count_confusion
from pcmamba.train.predictor import load


@pytest.fixture(scope="module")
def model(tiny_run):
    return load(tiny_run, device="cpu").model


@pytest.fixture(scope="module")
def test_set():
    return DATASETS["shapes"](train_size=80, test_size=32, num_points=96).load("test")


@pytest.fixture(scope="module")
def report(model, test_set):
    return evaluate(model, test_set)


def test_report_counts_every_cloud_once(report, test_set):
    confusion = torch.tensor(report.confusion)
    assert confusion.sum(dim=1).tolist() == test_set.labels.bincount(minlength=16).tolist()
    assert report.overall_accuracy == pytest.approx(confusion.trace().item() / 32)
    recalls = [r for r in report.class_accuracies if r is not None]
    assert report.mean_class_accuracy == pytest.approx(sum(recalls) / len(recalls))


def test_report_agrees_with_predictions_one_by_one(report, tiny_run, test_set):
    predictor = load(tiny_run, device="cpu")
    right = [
        predictor.predict(points[:64]).label == test_set.class_names[label]
        for points, label in zip(test_set.points, test_set.labels, strict=True)
    ]
    assert report.overall_accuracy == pytest.approx(sum(right) / len(right))


def test_evaluation_at_the_end_of_the_run_is_the_same(report, tiny_run):
    stored = json.loads((tiny_run / "evaluation.json").read_text())
    assert stored["confusion"] == [list(row) for row in report.confusion]
    assert stored["protocol"] == report.protocol


def test_batches_do_not_matter_and_the_mode_is_kept(model, test_set, report):
    model.train()
    assert evaluate(model, test_set, batch_size=5).confusion == report.confusion
    assert model.training
    model.eval()


def test_progress_is_told(model, test_set):
    seen = []
    evaluate(model, test_set, batch_size=20, progress=lambda *state: seen.append(state))
    assert seen == [(20, 32), (32, 32)]


class Extents(PointClassifier):
    """Logits from how the mean sizes along the axes differ: every scale shows."""

    def __init__(self, class_names):
        super().__init__()
        self.linear = nn.Linear(3, len(class_names), bias=False)
        nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        self.class_names = class_names
        self.preprocessing = Preprocessing(num_points=64)

    def forward(self, xyz, features=None):
        size = xyz.abs().mean(dim=1)
        return self.linear(size - size.mean(dim=1, keepdim=True))


def test_votes_average_scaled_copies_of_the_original(test_set):
    model = Extents(test_set.class_names)
    points, index = test_set.points[:, :64], torch.arange(32)
    batch = CloudBatch(model.preprocessing.normalize(points), test_set.labels, index)
    logits = model(batch.points)
    for vote in range(2):
        logits = logits + model(Scale(0.8, 1.2, stream="vote")(batch, Draw(7, vote)).points)
    voted = evaluate(model, test_set, votes=2, seed=7)
    wanted = count_confusion(logits.argmax(dim=1), test_set.labels, 16)
    assert voted.confusion == tuple(map(tuple, wanted.tolist()))
    assert voted.confusion != evaluate(model, test_set).confusion, "the views differ"
    assert "2 votes: logits averaged over one view and 2 randomly scaled copies" in voted.protocol


def test_table_has_a_line_for_each_class(report):
    lines = report.table().splitlines()
    assert len(lines) == 17
    assert lines[1].split()[:2] == ["airplane", "2"]


def test_absent_class_is_a_dash(model, test_set):
    labels = torch.where(test_set.labels == 3, 4, test_set.labels)
    report = evaluate(model, dataclasses.replace(test_set, labels=labels))
    assert report.class_accuracies[3] is None
    assert report.table().splitlines()[4].split()[:3] == ["bottle", "0", "-"]


def test_saved_report(report, tmp_path):
    paths = report.save(tmp_path / "new")
    written = ["evaluation.json", "predictions.csv", "predictions.npz", "confusion.png"]
    assert [path.name for path in paths] == written
    assert paths[-1].read_bytes().startswith(b"\x89PNG")
    assert json.loads(paths[0].read_text())["overall_accuracy"] == report.overall_accuracy


def test_predictions_are_the_models_answers(report, model, test_set):
    points = model.preprocessing.normalize(test_set.points[:, :64])
    with torch.no_grad():
        logits = model.eval()(points)
    found = report.predictions
    assert found.ids == test_set.ids
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-5)
    assert report.confusion == tuple(map(tuple, found.confusion.tolist()))


def test_votes_are_averaged_not_summed(model, test_set, report):
    voted = evaluate(model, test_set, votes=3).predictions
    assert 0.5 < float(voted.logits.norm() / report.predictions.logits.norm()) < 2


def test_a_saved_report_is_read_back(report, tmp_path):
    assert read_report(tmp_path) is None
    report.save(tmp_path, picture=False)
    read = read_report(tmp_path)
    assert read == report
    assert torch.equal(read.predictions.logits, report.predictions.logits)


def test_other_classes_and_negative_votes_are_refused(model, test_set):
    renamed = (*test_set.class_names[:-1], "zebra")
    with pytest.raises(ValueError, match="must have the model's 16 classes"):
        evaluate(model, dataclasses.replace(test_set, class_names=renamed))
    with pytest.raises(ValueError, match="votes must not be negative, got -1"):
        evaluate(model, test_set, votes=-1)

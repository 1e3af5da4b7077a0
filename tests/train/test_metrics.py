from __future__ import annotations

import math

import pytest
import torch

from pcmamba.train.metrics import (
    MetricsFile,
    accuracies,
    class_recalls,
    count_confusion,
    read_metrics,
)

CONFUSION = torch.tensor([[3, 1, 0], [0, 0, 0], [2, 0, 2]])


def test_accuracies_by_hand_leave_absent_classes_out():
    overall, mean_class = accuracies(CONFUSION)
    assert overall == pytest.approx(5 / 8)
    assert mean_class == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert class_recalls(CONFUSION) == [0.75, None, 0.5]


def test_nothing_counted_is_nan():
    assert all(map(math.isnan, accuracies(torch.zeros(2, 2, dtype=torch.int64))))


def test_confusion_has_true_classes_in_rows():
    labels, predicted = torch.tensor([0, 0, 2, 2]), torch.tensor([0, 1, 2, 0])
    wanted = [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert count_confusion(predicted, labels, 3).tolist() == wanted


def test_a_resumed_file_drops_what_will_be_redone(tmp_path):
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path, 0)
    for epoch in (1, 2, 3):
        file.append({"epoch": epoch, "step": 10 * epoch, "train/loss": 0.5})
    with path.open("a") as raw:
        raw.write("4,40,1")  # cut short by a crash
    assert [row["epoch"] for row in read_metrics(path)] == ["1", "2", "3"]
    MetricsFile(path, 2).append({"epoch": 3, "step": 30})
    assert [row["train/loss"] for row in read_metrics(path)] == ["0.5", "0.5", ""]

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch

from pcmamba.train.predictions import COLUMNS, Predictions, read_predictions

# Probabilities 3/4 and 1/4 at logits log 3 and 0.
HIGH = math.log(3.0)
LOGITS = torch.tensor([[HIGH, 0.0], [HIGH, 0.0], [0.0, 2 * HIGH], [0.0, 0.0]])


@pytest.fixture
def found():
    return Predictions(("a", "b", "c,d", "é"), torch.tensor([0, 1, 0, 0]), LOGITS, ("can", "cup"))


def test_known_probabilities(found):
    assert found.predicted.tolist() == [0, 0, 1, 0]
    assert found.confidence.tolist() == pytest.approx([0.75, 0.75, 0.9, 0.5])
    wanted = [-math.log(p) for p in (0.75, 0.25, 0.1, 0.5)]
    assert found.loss.tolist() == pytest.approx(wanted)
    assert found.confusion.tolist() == [[2, 1], [1, 0]]
    assert found.top(2, 2) == [(1, pytest.approx(0.9)), (0, pytest.approx(0.1))]


def test_hardest_and_most_confident_mistakes(found):
    assert found.hardest(3) == [2, 1, 3]
    assert found.mistakes(9) == [2, 1]


def test_table_has_a_line_for_each_sample(found, tmp_path):
    assert [path.name for path in found.save(tmp_path)] == ["predictions.csv", "predictions.npz"]
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["id"] for row in rows] == list(found.ids)
    assert [row["prediction"] for row in rows] == ["can", "can", "cup", "can"]
    assert [row["right"] for row in rows] == ["1", "0", "0", "1"]
    assert float(rows[2]["label_probability"]) == pytest.approx(0.1, rel=1e-5)


def test_arrays_are_read_back(found, tmp_path):
    assert read_predictions(tmp_path) is None
    found.save(tmp_path)
    read = read_predictions(tmp_path)
    assert (read.ids, read.class_names) == (found.ids, found.class_names)
    assert torch.equal(read.logits, found.logits) and torch.equal(read.labels, found.labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "predictions.csv",
        "predictions.npz",
    ], "no temporary file stays"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ValueError, match=r"predictions\.npz must be written by an evaluation"):
        read_predictions(tmp_path)
    np.savez(tmp_path / "predictions.npz", ids=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"predictions\.npz must be written by an evaluation"):
        read_predictions(tmp_path)

from __future__ import annotations

import math

import pytest
import torch

from pcmamba.train.predictions import Predictions
from pcmamba.train.statistics import calibration_error, wilson


def test_wilson_holds_for_known_counts():
    # Agresti and Coull (1998), 0 of 10 and 5 of 10.
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_wilson_solves_its_quadratic():
    low, high = wilson(37, 50)
    for bound in (low, high):
        assert abs(37 / 50 - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / 50))


def test_calibration_error_by_hand():
    # Two answers at 0.75, one right: off by 0.25; one wrong answer at 0.9: off by 0.9.
    high = math.log(3.0)
    logits = torch.tensor([[high, 0.0], [high, 0.0], [0.0, 2 * high]])
    found = Predictions(("a", "b", "c"), torch.tensor([0, 1, 0]), logits, ("x", "y"))
    assert calibration_error(found) == pytest.approx((2 * 0.25 + 0.9) / 3)


def test_sure_and_right_is_calibrated():
    found = Predictions(("a",), torch.tensor([1]), torch.tensor([[0.0, 200.0]]), ("x", "y"))
    assert calibration_error(found) == 0.0

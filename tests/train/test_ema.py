from __future__ import annotations

import pytest
import torch
from torch import nn

from pcmamba.train.ema import WeightAverage


def test_average_by_hand():
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, decay=0.15)
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.running_mean.fill_(7.0)
        average.update(model)  # decay (1 + 0) / (10 + 0) = 0.1
        assert average.weights["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
        model.weight.fill_(4.0)
        average.update(model)  # (1 + 1) / (10 + 1) = 0.18 is above 0.15
    assert average.weights["weight"].item() == pytest.approx(0.15 * 1.9 + 0.85 * 4)
    assert average.weights["running_mean"].item() == 7.0, "buffers are copied"


def test_applied_swaps_and_restores_the_exact_bits():
    model = nn.Linear(3, 3)
    average = WeightAverage(model, 0.9)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    trained = model.weight.detach().clone()
    with average.applied(model):
        torch.testing.assert_close(model.weight.detach(), before, rtol=0, atol=0)
    torch.testing.assert_close(model.weight.detach(), trained, rtol=0, atol=0)


def test_applied_restores_after_an_error():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    trained = model.weight.detach().clone()
    with pytest.raises(RuntimeError, match="in the middle"), average.applied(model):
        raise RuntimeError("in the middle")
    assert torch.equal(model.weight, trained)


def test_state_goes_on_with_the_same_bits():
    torch.manual_seed(0)
    models = [nn.Linear(3, 3)]
    whole = WeightAverage(models[0], 0.99)
    whole.update(nn.Linear(3, 3))
    later = WeightAverage(nn.Linear(3, 3), 0.99)
    later.load_state_dict(whole.state_dict())
    step = nn.Linear(3, 3)
    whole.update(step)
    later.update(step)
    assert later.updates == whole.updates == 2
    assert torch.equal(later.weights["weight"], whole.weights["weight"])

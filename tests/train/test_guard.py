from __future__ import annotations

import pytest
import torch
from torch import nn

from pcmamba.data.batch import ClipBatch, CloudBatch
from pcmamba.train.guard import FiniteGuard, NonFiniteError

NAN = float("nan")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, xyz, features=None):
        return self.second(self.first(xyz)).sum(dim=1)


def batch(value=0.5):
    points = torch.full((2, 5, 3), value)
    return CloudBatch(points, torch.zeros(2, dtype=torch.int64), torch.arange(2))


def guard_after(step: int, value: float) -> FiniteGuard:
    guard = FiniteGuard(torch.device("cpu"))
    guard.observe(step - 1, torch.tensor(1.0))
    guard.observe(step, torch.tensor(value))
    guard.observe(step + 1, torch.tensor(NAN))
    return guard


def test_finite_numbers_pass():
    guard = FiniteGuard(torch.device("cpu"))
    guard.observe(0, torch.tensor(1e30))
    guard.check(Net(), batch(), 0)


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_the_first_bad_step_is_named(value):
    with pytest.raises(NonFiniteError, match=r"at step 7 \(noticed at step 9\)"):
        guard_after(7, value).check(Net(), None, 9)


def test_a_bad_parameter_is_named():
    net = Net()
    with torch.no_grad():
        net.second[0].bias[1] = NAN
    with pytest.raises(
        NonFiniteError, match=r"at step 3: first non-finite parameter second.0.bias"
    ):
        guard_after(3, NAN).check(net, batch(), 3)


def test_the_first_bad_module_is_named():
    net = Net()
    with torch.no_grad():
        net.second[0].weight.fill_(3e38)
    with pytest.raises(NonFiniteError, match=r"output from module second.0; lower --optim.lr"):
        guard_after(3, NAN).check(net, batch(100.0), 3)


def test_a_bad_gradient_is_named():
    net = Net()
    net.first.weight.grad = torch.full((4, 3), NAN)
    with pytest.raises(NonFiniteError, match=r"non-finite gradient at parameter first.weight"):
        guard_after(3, NAN).check(net, batch(), 3)


def test_bad_points_are_named():
    with pytest.raises(NonFiniteError, match="points of the batch are not finite"):
        guard_after(3, NAN).check(Net(), batch(NAN), 3)


def test_bad_frames_are_named():
    clips = ClipBatch(torch.full((1, 2, 3, 4, 4), NAN), torch.zeros(1), torch.arange(1))
    with pytest.raises(NonFiniteError, match="frames of the batch are not finite"):
        guard_after(3, NAN).check(Net(), clips, 3)

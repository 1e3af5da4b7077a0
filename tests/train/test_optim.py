from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pcmamba.train.optim import learning_rate, parameter_groups, smoothed_cross_entropy
from pcmamba.train.recipe import OptimConfig

PAPER = OptimConfig(schedule="epochwise", cosine_epochs=200)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (1, 1e-6),
        (2, 2.08e-5),
        (5, 8.02e-5),
        (6, 9.986e-5),
        (50, 8.73e-5),
        (100, 5.57e-5),
        (150, 2.37e-5),
        (201, 1e-5),
        (250, 1e-5),
    ],
)
@pytest.mark.parametrize("step_in_epoch", [0, 306])
def test_epochwise_rates_are_the_papers(epoch, rate, step_in_epoch):
    step = (epoch - 1) * 307 + step_in_epoch
    assert learning_rate(step, 307, 250, PAPER) == pytest.approx(rate, rel=1e-3)


def test_cosine_warms_up_peaks_halves_and_ends():
    optim = OptimConfig(lr=1.0, min_lr=0.0, warmup_lr=0.1, warmup_epochs=2)
    rates = [learning_rate(step, 10, 12, optim) for step in (0, 10, 20, 70, 120)]
    assert rates == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0])


def test_no_warm_up_starts_at_the_peak():
    optim = OptimConfig(lr=1.0, warmup_epochs=0)
    assert learning_rate(0, 10, 3, optim) == 1.0


def test_smoothed_cross_entropy_by_hand():
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]])  # probabilities 1/2, 1/4, 1/4
    loss = smoothed_cross_entropy(logits, torch.tensor([0]), 0.2)
    assert loss.item() == pytest.approx(0.8 * math.log(2) + 0.2 * math.log(4))


def test_smoothed_cross_entropy_is_cross_entropy_to_soft_targets():
    logits = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    labels, s = torch.tensor([0, 3, 6, 1, 1]), 0.3
    targets = torch.full((5, 7), s / 6, dtype=torch.float64)
    targets[torch.arange(5), labels] = 1 - s
    loss = smoothed_cross_entropy(logits, labels, s)
    wanted = nn.functional.cross_entropy(logits, targets)
    torch.testing.assert_close(loss, wanted)
    assert torch.autograd.gradcheck(lambda x: smoothed_cross_entropy(x, labels, s), (logits,))


def test_no_smoothing_is_plain_cross_entropy():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    wanted = nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(smoothed_cross_entropy(logits, labels, 0.0), wanted)


def test_half_precision_logits_give_a_float32_loss():
    loss = smoothed_cross_entropy(torch.randn(2, 3).bfloat16(), torch.tensor([0, 1]), 0.1)
    assert loss.dtype == torch.float32


class Marked(nn.Module):
    def __init__(self, names=("decay_free",)):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.decay_free = nn.Parameter(torch.zeros(2, 2))
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
        self.names = names

    def no_weight_decay(self):
        return set(self.names)


def test_one_axis_and_exempt_parameters_do_not_decay():
    model = Marked()
    decayed, kept = parameter_groups(model, 0.05)
    assert decayed["weight_decay"] == 0.05
    assert kept["weight_decay"] == 0.0
    assert [id(p) for p in decayed["params"]] == [id(model.linear.weight)]
    assert {id(p) for p in kept["params"]} == {id(model.linear.bias), id(model.decay_free)}


def test_an_exempt_name_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match=r"must name parameters, got \['linear.wieght'\]"):
        parameter_groups(Marked(["linear.wieght"]), 0.05)

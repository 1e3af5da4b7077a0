"""Rates of neurons, counted by frame and channel, and what is said of unhealthy ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcmamba.nn import IF
from pcmamba.nn.firing import Firing, watched_neurons


def test_rates_by_hand() -> None:
    found = Firing()
    found.add(torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]))
    found.add(torch.tensor([[[0.0, 0.0]]]))
    assert found.rate == 3 / 10
    assert found.frame_rates == (1 / 6, 2 / 4)
    assert found.channel_rates == (3 / 5, 0.0)
    assert found.silent_share == 0.5
    assert found.warning == ""


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0.0, "fires at 0.0000, below 0.005 and 100% of its channels never fire"),
        (0.004, "fires at 0.0040, below 0.005 and 99% of its channels never fire"),
        (0.7, "fires at 0.7000, above 0.6"),
        (0.55, ""),
    ],
)
def test_unhealthy_rates_are_said(rate: float, message: str) -> None:
    spikes = torch.zeros(10, 1, 100)
    count = round(rate * 1000)
    if rate > 0.5:
        spikes.view(-1)[:count] = 1
        spikes = spikes[:, :, torch.randperm(100)]
    else:
        spikes[:, 0, :1] = (torch.arange(10) < count)[:, None]
    found = Firing()
    found.add(spikes)
    assert found.warning == message


def test_layers_are_watched_inside_the_context_alone() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = IF(), IF()

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x)[0])[0]

    model, x = Two(), torch.ones(3, 2, 4)
    with watched_neurons(model) as found:
        model(x)
    model(x)
    assert {name: one.rate for name, one in found.items()} == {"first": 1.0, "second": 1.0}
    assert found["first"].frame_rates == (1.0, 1.0, 1.0)
    with (
        pytest.raises(ValueError, match="module must have layers of neurons, got none"),
        watched_neurons(nn.Linear(1, 1)),
    ):
        pass

"""Spike trains: exactly what the layers return, and no hook left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pcmamba.nn import LIF
from pcmamba.nn.spike_trains import spike_trains


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = LIF(), LIF()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(2 * self.first(x)[0])[0]


def test_every_layer_is_kept() -> None:
    torch.manual_seed(0)
    model, x = Two(), 3 * torch.rand(4, 2, 5)
    trains = spike_trains(model, x)
    assert list(trains) == ["first", "second"]
    first = model.first(x)[0]
    assert torch.equal(trains["first"], first > 0) and trains["first"].any()
    assert torch.equal(trains["second"], model(x) > 0)
    assert not model.first._forward_hooks


def test_a_network_without_neurons_is_refused() -> None:
    with pytest.raises(ValueError, match="layers of neurons, got none"):
        spike_trains(nn.Linear(2, 2), torch.zeros(1, 2))

"""Batch normalisation over channels before a layer of neurons."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from pcmamba.nn.neuron import LIF, Neuron
from pcmamba.nn.pointwise import normalise_rows


class Rectifier(nn.Module):
    """ReLU in the place of a neuron: what the same network without spikes computes."""

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return max(0, x), and the membrane that it does not use."""
        return x.relu(), v


class NormNeuron(nn.Module):
    """Normalise each channel, then let the neurons run along time: (T, ..., C) to (T, ..., C).

    The statistics are taken over steps, samples and tokens. Without them the currents inside a
    deep network are too small to make anything fire.

    Args:
        channels: C.
        neuron: The neurons, or a `Rectifier`.
        norm: "bn", or "none" to pass the currents on as they are.
    """

    def __init__(
        self,
        channels: int,
        neuron: Neuron | Rectifier | None = None,
        norm: Literal["bn", "none"] = "bn",
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels) if norm == "bn" else None
        self.neuron = LIF() if neuron is None else neuron

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the spikes of currents `x` and the membrane after the last step."""
        x = x if self.norm is None else normalise_rows(self.norm, x)
        spikes, v = self.neuron(x, v)
        return spikes, v

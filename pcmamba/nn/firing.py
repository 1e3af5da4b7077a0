"""How often neurons fire, counted while a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.nn.neuron import Neuron

LOWEST, HIGHEST, MOST_SILENT = 0.005, 0.6, 0.5


class Firing:
    """Spikes of one layer of neurons, added up over calls, by frame and by channel."""

    def __init__(self) -> None:
        self._fired = torch.zeros(0, 0, dtype=torch.float64)
        self._neurons = torch.zeros(0, dtype=torch.float64)

    def add(self, spikes: Tensor) -> None:
        """Count the spikes (T, ..., C) of a call, the channels last."""
        steps, channels = len(spikes), spikes.shape[-1]
        each = spikes[0].numel() // channels if steps else 0
        fired = spikes.reshape(steps, each, channels).sum(dim=1, dtype=torch.float64).cpu()
        total = torch.zeros(max(steps, len(self._fired)), channels, dtype=torch.float64)
        total[: len(self._fired)] += self._fired.reshape(-1, channels)
        total[:steps] += fired
        neurons = torch.zeros(len(total), dtype=torch.float64)
        neurons[: len(self._neurons)] += self._neurons
        neurons[:steps] += each
        self._fired, self._neurons = total, neurons

    @property
    def rate(self) -> float:
        """Spikes for each neuron and frame."""
        possible = float(self._neurons.sum()) * self._fired.shape[1]
        return float(self._fired.sum()) / possible if possible else 0.0

    @property
    def frame_rates(self) -> tuple[float, ...]:
        """The rate in each frame of a clip."""
        possible = self._neurons * self._fired.shape[1]
        return tuple((self._fired.sum(dim=1) / possible.clamp(min=1)).tolist())

    @property
    def channel_rates(self) -> tuple[float, ...]:
        """The rate of each channel."""
        return tuple((self._fired.sum(dim=0) / self._neurons.sum().clamp(min=1)).tolist())

    @property
    def silent_share(self) -> float:
        """Share of the channels that never fired."""
        silent = self._fired.sum(dim=0) == 0
        return float(silent.double().mean()) if len(silent) else 0.0

    @property
    def warning(self) -> str:
        """What is unhealthy, in words, or ""."""
        found = []
        if self.rate < LOWEST:
            found.append(f"fires at {self.rate:.4f}, below {LOWEST}")
        if self.rate > HIGHEST:
            found.append(f"fires at {self.rate:.4f}, above {HIGHEST}")
        if self.silent_share > MOST_SILENT:
            found.append(f"{self.silent_share:.0%} of its channels never fire")
        return " and ".join(found)


@contextmanager
def watched_neurons(module: nn.Module) -> Iterator[dict[str, Firing]]:
    """Count the spikes of every layer of neurons in `module` inside the context, by its name.

    Raises:
        ValueError: `module` has no layer of neurons.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Neuron)}
    if not layers:
        raise ValueError("module must have layers of neurons, got none")
    found = {name: Firing() for name in layers}

    def count(name: str) -> Any:
        return lambda _layer, _inputs, output: found[name].add(output[0])

    handles = [layer.register_forward_hook(count(name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()

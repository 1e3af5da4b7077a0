"""The spikes of every layer of neurons in one call of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.nn.neuron import Neuron


def spike_trains(module: nn.Module, *inputs: Any) -> dict[str, Tensor]:
    """Call a network without gradients and keep what its neurons did.

    Args:
        module: Any network with layers of neurons; called in the mode it is in.
        *inputs: What it is called with.

    Returns:
        For each layer by its name (T, ...) bool: who fired in which frame.

    Raises:
        ValueError: `module` has no layer of neurons.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Neuron)}
    if not layers:
        raise ValueError("module must have layers of neurons, got none")
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            found[name] = output[0].detach() > 0

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found

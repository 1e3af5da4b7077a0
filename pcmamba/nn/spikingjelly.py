"""Exchange layers of neurons with spikingjelly's nodes, for its monitors, modes and converters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.nn.neuron import IF, LIF, Neuron
from pcmamba.nn.plif import PLIF
from pcmamba.ops._surrogate import DEFAULT_ALPHA, Surrogate

SURROGATES: dict[Surrogate, str] = {
    "sigmoid": "Sigmoid",
    "atan": "ATan",
    "triangle": "PiecewiseQuadratic",
    "erf": "Erf",
}


class SpikingJellyNeuron(Neuron):
    """A node of spikingjelly called as a layer of neurons: reset, or put to `v`, by every call.

    Works in both of the node's step modes, in float32.

    Args:
        node: Made by `to_spikingjelly`.
    """

    def __init__(self, node: nn.Module) -> None:
        super().__init__()
        self.node: Any = node

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes (T, ...) and the membrane (...) after the last step."""
        self.node.reset()
        if v is not None:
            self.node.v = v
        currents = x.float()
        if self.node.step_mode == "m":
            spikes = self.node(currents)
        else:
            spikes = torch.stack([self.node(current) for current in currents])
        return spikes.to(x.dtype), self.node.v

    def extra_repr(self) -> str:
        """Show nothing: the node shows itself."""
        return ""


class SpikesAlone(nn.Module):
    """Neurons in the place of a bare node: currents (T, ...) to spikes, every call from rest."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes alone."""
        return self.neuron(x)[0]


def to_spikingjelly(module: nn.Module) -> nn.Module:
    """Turn layers of neurons into spikingjelly's nodes of the same spikes, bit for bit.

    Args:
        module: `LIF`, `IF` or `PLIF`, which gives the bare node in step mode "m"; or a network,
            which gives a copy with a `SpikingJellyNeuron` around a node in each one's place.

    Raises:
        ImportError: spikingjelly is not installed.
        TypeError: A layer of neurons is of another class.
    """
    if isinstance(module, Neuron):
        return _node(module)
    return _replaced(
        module, lambda m: SpikingJellyNeuron(_node(m)) if isinstance(m, Neuron) else None
    )


def from_spikingjelly(module: nn.Module) -> nn.Module:
    """Turn spikingjelly's nodes into layers of neurons of the same spikes.

    Args:
        module: `LIFNode`, `IFNode` or `ParametricLIFNode`, which gives `LIF`, `IF` or `PLIF`; or a
            network, which gives a copy: nodes that `to_spikingjelly` wrapped become layers of
            neurons again, bare nodes in step mode "m" become `SpikesAlone`, which start every
            call from rest. Other modules stay.

    Raises:
        ImportError: spikingjelly is not installed.
        TypeError: A node or its surrogate is of a class that has no counterpart.
        ValueError: A bare node works step by step, or its surrogate does not fire.
    """
    base = _library()[0].BaseNode
    if isinstance(module, base):
        return _neuron(module)

    def exchange(part: nn.Module) -> nn.Module | None:
        if isinstance(part, SpikingJellyNeuron):
            return _neuron(part.node)
        if not isinstance(part, base):
            return None
        if part.step_mode != "m":
            raise ValueError(
                f"step_mode of a node must be 'm', got {part.step_mode!r}: neurons keep nothing "
                "between calls; functional.set_step_mode(network, 'm') changes it"
            )
        return SpikesAlone(_neuron(part))

    return _replaced(module, exchange)


def _replaced(module: nn.Module, exchange: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Return a copy of a network with exchanged parts."""
    found = copy.deepcopy(module)
    whole = exchange(found)
    if whole is not None:
        return whole
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            other = exchange(child)
            if other is not None:
                setattr(parent, name, other.train(child.training))
    return found


def _node(neuron: Neuron) -> nn.Module:
    nodes, surrogates = _library()
    if isinstance(neuron, SpikingJellyNeuron):
        return copy.deepcopy(neuron.node)
    alpha = DEFAULT_ALPHA[neuron.surrogate] if neuron.alpha is None else neuron.alpha
    shared = {
        "v_threshold": float(neuron.v_threshold),
        "v_reset": None if neuron.v_reset is None else float(neuron.v_reset),
        "detach_reset": neuron.detach_reset,
        "surrogate_function": getattr(surrogates, SURROGATES[neuron.surrogate])(alpha),
        "step_mode": "m",
    }
    if isinstance(neuron, PLIF):
        node = nodes.ParametricLIFNode(2.0, neuron.decay_input, **shared)
        node.w = nn.Parameter(neuron.w.detach().clone())
        return node
    if not isinstance(neuron, LIF):
        raise TypeError(f"module must hold LIF, IF or PLIF, got {type(neuron).__name__}")
    if neuron.tau == math.inf:
        return nodes.IFNode(**shared)
    return nodes.LIFNode(float(neuron.tau), neuron.decay_input, **shared)


def _neuron(node: Any) -> Neuron:
    nodes, _ = _library()
    known = (nodes.LIFNode, nodes.IFNode, nodes.ParametricLIFNode)
    if type(node) not in known:
        names = ", ".join(one.__name__ for one in known)
        raise TypeError(f"node must be one of {names}, got {type(node).__name__}")
    surrogate, alpha = _surrogate(node.surrogate_function)
    shared: dict[str, Any] = {
        "v_threshold": node.v_threshold,
        "v_reset": node.v_reset,
        "detach_reset": node.detach_reset,
        "surrogate": surrogate,
        "alpha": alpha,
    }
    if type(node) is nodes.IFNode:
        return IF(**shared)
    if type(node) is nodes.LIFNode:
        return LIF(float(node.tau), decay_input=node.decay_input, **shared)
    found = PLIF(decay_input=node.decay_input, **shared)
    found.w = nn.Parameter(node.w.detach().clone())
    return found


def _surrogate(function: Any) -> tuple[Surrogate, float]:
    for ours, theirs in SURROGATES.items():
        if type(function).__name__ == theirs:
            if not function.spiking:
                raise ValueError(f"surrogate {theirs} must have spiking=True, got False")
            return ours, float(function.alpha)
    known = ", ".join(SURROGATES.values())
    raise TypeError(f"surrogate must be one of {known}, got {type(function).__name__}")


def _library() -> tuple[Any, Any]:
    try:
        from spikingjelly.activation_based import neuron, surrogate
    except ImportError as error:
        raise ImportError(
            "spikingjelly must be installed to exchange neurons with it: "
            "sh tools/setup_spikingjelly.sh VENV installs it without replacing torch"
        ) from error
    return neuron, surrogate

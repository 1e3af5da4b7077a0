"""Operations and an energy estimate of spiking networks, layer by layer while they run.

A multiplication with its addition (MAC) costs 4.6 pJ and an addition alone (AC) 0.9 pJ at 45 nm
with 32-bit floats; memory is left out, and a GPU saves nothing. A layer that spikes feed needs an
addition for each spike: rate times MAC, "synaptic operations". Two readings are kept apart:

- usual: every layer behind neurons counts additions, as most papers count;
- strict: only layers whose inputs are 0 or 1. Spikes times a real gate are sparse products, and
  rotated queries and keys are real.

Source: Horowitz, Computing's Energy Problem (ISSCC 2014), for the two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from pcmamba.nn.bidirectional_mamba import ScanDirection
from pcmamba.nn.neuron import Neuron
from pcmamba.nn.spiking_attention import SpikingLinearAttention
from pcmamba.nn.spiking_mamba import SpikingMamba

MAC_PJ, AC_PJ = 4.6, 0.9
SCAN = 3  # decay and input into the state, and the output: products a state and step

Kind = Literal["real", "spikes", "gated", "rotated"]


class LayerWork:
    """Products of one layer, added up over calls.

    Attributes:
        kind: What feeds it: "real" numbers, "spikes", spikes times real numbers ("gated"), or
            spikes that were "rotated".
        macs: Products if nothing were sparse.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.macs = 0
        self._active, self._inputs = 0, 0

    def add(self, macs: int, active: int, inputs: int) -> None:
        """Count a call with so many products, and with `active` inputs that are not zero."""
        self.macs += macs
        self._active += active
        self._inputs += inputs

    @property
    def rate(self) -> float:
        """Share of the inputs that are not zero; 1 for real inputs."""
        if self.kind == "real" or not self._inputs:
            return 1.0
        return self._active / self._inputs

    @property
    def sops(self) -> float:
        """Synaptic operations by the usual reading; 0 for real inputs."""
        return 0.0 if self.kind == "real" else self.rate * self.macs

    @property
    def usual_pj(self) -> float:
        """Picojoules by the usual reading."""
        return MAC_PJ * self.macs if self.kind == "real" else AC_PJ * self.sops

    @property
    def strict_pj(self) -> float:
        """Picojoules by the strict reading."""
        if self.kind == "spikes":
            return AC_PJ * self.sops
        return MAC_PJ * self.macs * (self.rate if self.kind == "gated" else 1.0)


@contextmanager
def counted_work(module: nn.Module) -> Iterator[dict[str, LayerWork]]:
    """Count the products of `module` inside the context, by layer.

    What feeds a linear layer or a convolution is read from its inputs: 0 and 1 alone are spikes, if
    neurons ran before it. Attention and mixer say which of their layers take gated spikes.
    """
    counter = _Counter(module)
    try:
        yield counter.found
    finally:
        for handle in counter.handles:
            handle.remove()


class _Counter:
    def __init__(self, module: nn.Module) -> None:
        self.found: dict[str, LayerWork] = {}
        self.spiking = any(isinstance(layer, Neuron) for layer in module.modules())
        self.fired = False
        owners = (SpikingLinearAttention, SpikingMamba)
        self.gated = {id(m.out_proj) for m in module.modules() if isinstance(m, owners)}
        self.handles: list[Any] = [module.register_forward_pre_hook(self._begin)]
        for name, layer in module.named_modules():
            if isinstance(layer, Neuron):
                self.handles.append(layer.register_forward_hook(self._fire))
            elif isinstance(layer, SpikingLinearAttention):
                self._watch(layer.query_key_fire, self._attention(name, layer))
            elif isinstance(layer, SpikingMamba):
                self._watch(layer.in_fire, self._scans(name, layer))
            elif isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                self._watch(layer, self._product(name))

    def _watch(self, layer: nn.Module, hook: Callable[..., None]) -> None:
        self.handles.append(layer.register_forward_hook(hook))

    def _begin(self, _module: nn.Module, _inputs: Any) -> None:
        self.fired = False

    def _fire(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self.fired = True

    def _add(self, name: str, kind: Kind, macs: int, active: int = 0, inputs: int = 0) -> None:
        work = self.found.setdefault(name, LayerWork(kind))
        # Real once is real: a call may hold nothing but zeros.
        work.kind = kind if work.kind == "spikes" else work.kind
        work.add(macs, active, inputs)

    def _product(self, name: str) -> Callable[..., None]:
        def hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            macs = output.numel() * _inputs_of_an_output(layer)
            x = inputs[0]
            active = int(x.count_nonzero())
            kind: Kind = "real"
            if self.spiking and id(layer) in self.gated:
                kind = "gated"
            elif self.fired and bool(((x == 0) | (x == 1)).all()):
                kind = "spikes"
            self._add(name, kind, macs, active, x.numel())

        return hook

    def _attention(self, name: str, owner: SpikingLinearAttention) -> Callable[..., None]:
        """Both products with the memory, and the normaliser's: all tokens see KV of their head."""

        def hook(_layer: nn.Module, _inputs: Any, output: tuple[Tensor, Any]) -> None:
            spikes = output[0]
            side = spikes.shape[-1] // 2 // owner.heads
            macs = spikes.numel() // 2 * (2 * side + 1)
            kind: Kind = "spikes" if owner.turns is None else "rotated"
            self._add(
                f"{name}.attention", kind if self.spiking else "real", macs,
                int(spikes.count_nonzero()), spikes.numel(),
            )  # fmt: skip

        return hook

    def _scans(self, name: str, owner: SpikingMamba) -> Callable[..., None]:
        """Convolutions, projections and recurrences of each direction."""

        def hook(_layer: nn.Module, _inputs: Any, output: tuple[Tensor, Any]) -> None:
            spikes = output[0]
            active, rows = int(spikes.count_nonzero()), spikes.numel() // spikes.shape[-1]
            for way, part in owner.named_children():
                if isinstance(part, ScanDirection):
                    width, states = part.A_log.shape
                    taps = rows * width * part.conv.kernel_size[0]
                    kind: Kind = "spikes" if self.spiking else "real"
                    self._add(f"{name}.{way}.conv", kind, taps, active, spikes.numel())
                    for layer in ("x_proj", "dt_proj"):
                        macs = rows * getattr(part, layer).weight.numel()
                        self._add(f"{name}.{way}.{layer}", "real", macs)
                    self._add(f"{name}.{way}.scan", "real", SCAN * rows * width * states)

        return hook


def _inputs_of_an_output(layer: Any) -> int:
    if isinstance(layer, nn.Linear):
        return layer.in_features
    return math.prod(layer.kernel_size) * layer.in_channels // layer.groups

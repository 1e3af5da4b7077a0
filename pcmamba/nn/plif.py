"""Spiking neurons whose leak is learnt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pcmamba.nn.neuron import Neuron
from pcmamba.ops._surrogate import DEFAULT_ALPHA, Surrogate, fire


class PLIF(Neuron):
    """Leaky integrate-and-fire neurons with one learnt time constant, 1 / tau = sigmoid(w).

        h_t = v_{t-1} + (x_t - (v_{t-1} - r)) sigmoid(w)      or, without decay_input,
        h_t = v_{t-1} - (v_{t-1} - r) sigmoid(w) + x_t

    then spike and reset as `LIF`. Steps are torch operations one after another that autograd
    differentiates, in float32: slower than `LIF` by the number of steps, and what a time constant
    on the device costs, since the fused op takes it as a number of the host.

    Args:
        tau: Time constant to start from, in steps, above 1 and finite.
        decay_input: Multiply the input by the leak too.
        v_threshold: See `Neuron`, as for all that follow.
        v_reset: Membrane after a spike, or None.
        detach_reset: No gradient through the reset.
        surrogate: Name of the surrogate.
        alpha: Its steepness.

    Raises:
        ValueError: `tau` is not above 1 and finite.

    Source: Fang et al., Incorporating Learnable Membrane Time Constant (2021).
    """

    def __init__(
        self,
        tau: float = 2.0,
        *,
        decay_input: bool = True,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        detach_reset: bool = True,
        surrogate: Surrogate = "sigmoid",
        alpha: float | None = None,
    ) -> None:
        super().__init__(
            v_threshold=v_threshold,
            v_reset=v_reset,
            detach_reset=detach_reset,
            surrogate=surrogate,
            alpha=alpha,
        )
        if not 1.0 < tau < math.inf:
            raise ValueError(f"tau must be above 1 and finite, got {tau}; IF has no leak")
        self.decay_input = decay_input
        self.w = nn.Parameter(torch.tensor(-math.log(tau - 1.0)))

    @property
    def tau(self) -> float:
        """The time constant as it is now, in steps."""
        return 1.0 / float(self.w.detach().sigmoid())

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes (T, ...) and the membrane (...) after the last step."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        rest = 0.0 if self.v_reset is None else self.v_reset
        v = x.new_full(x.shape[1:], rest, dtype=dtype) if v is None else v.to(dtype)
        leak = self.w.to(dtype).sigmoid()
        spikes = []
        for current in x.to(dtype):
            spike, v = self._step(current, v, leak, rest)
            spikes.append(spike)
        return (torch.stack(spikes) if spikes else x).to(x.dtype), v

    def _step(self, x: Tensor, v: Tensor, leak: Tensor, rest: float) -> tuple[Tensor, Tensor]:
        h = v + (x - (v - rest)) * leak if self.decay_input else v - (v - rest) * leak + x
        alpha = DEFAULT_ALPHA[self.surrogate] if self.alpha is None else self.alpha
        spike = fire(h - self.v_threshold, self.surrogate, alpha)
        reset = spike.detach() if self.detach_reset else spike
        if self.v_reset is None:
            return spike, h - reset * self.v_threshold
        return spike, reset * self.v_reset + (1.0 - reset) * h

    def extra_repr(self) -> str:
        """Show the form of the leak too; its size is the parameter `w`."""
        return f"decay_input={self.decay_input}, {super().extra_repr()}"

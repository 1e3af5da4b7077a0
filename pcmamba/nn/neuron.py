"""Spiking neurons as layers: the membrane is passed in and handed back, never kept."""

from __future__ import annotations

import math

from torch import Tensor, nn

from pcmamba.ops import lif
from pcmamba.ops._surrogate import Surrogate


class Neuron(nn.Module):
    """What the layers of spiking neurons share.

    Called with currents x (T, ...) and a membrane v (...), or None at rest, a layer returns
    `(spikes, v_end)`, (T, ...) in the dtype of x and (...) float32. Nothing is remembered: every
    call without a membrane starts a clip, and `v_end` given to the next call goes on with it.

    Args:
        v_threshold: A membrane at or above it fires.
        v_reset: Membrane after a spike; None subtracts `v_threshold` instead.
        detach_reset: Let no gradient pass through the spike into the reset.
        surrogate: "sigmoid", "atan", "triangle" or "erf".
        alpha: Steepness of the surrogate, or None for its own default.
    """

    def __init__(
        self,
        *,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        detach_reset: bool = True,
        surrogate: Surrogate = "sigmoid",
        alpha: float | None = None,
    ) -> None:
        super().__init__()
        self.v_threshold, self.v_reset = v_threshold, v_reset
        self.detach_reset = detach_reset
        self.surrogate, self.alpha = surrogate, alpha

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes (T, ...) and the membrane (...) after the last step."""
        raise NotImplementedError("a neuron defines its own forward")

    def extra_repr(self) -> str:
        """Show threshold and reset in the model's printout."""
        return f"v_threshold={self.v_threshold:g}, v_reset={self.v_reset}"


class LIF(Neuron):
    """Leaky integrate-and-fire neurons; see `pcmamba.ops.lif`.

    Args:
        tau: Time constant in steps, above 1.
        decay_input: Divide the input by `tau` too.
        v_threshold: See `Neuron`, as for all that follow.
        v_reset: Membrane after a spike, or None.
        detach_reset: No gradient through the reset.
        surrogate: Name of the surrogate.
        alpha: Its steepness.
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
        self.tau, self.decay_input = tau, decay_input

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes (T, ...) and the membrane (...) after the last step."""
        found = lif(
            x,
            v,
            tau=self.tau,
            v_threshold=self.v_threshold,
            v_reset=self.v_reset,
            decay_input=self.decay_input,
            detach_reset=self.detach_reset,
            surrogate=self.surrogate,
            alpha=self.alpha,
        )
        return found.spikes, found.v_end

    def extra_repr(self) -> str:
        """Show the time constant too."""
        return f"tau={self.tau:g}, {super().extra_repr()}"


class IF(LIF):
    """Integrate-and-fire neurons: nothing leaks, h_t = v_{t-1} + x_t.

    The arguments are those of `Neuron`.
    """

    def __init__(
        self,
        *,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        detach_reset: bool = True,
        surrogate: Surrogate = "sigmoid",
        alpha: float | None = None,
    ) -> None:
        super().__init__(
            math.inf,
            decay_input=False,
            v_threshold=v_threshold,
            v_reset=v_reset,
            detach_reset=detach_reset,
            surrogate=surrogate,
            alpha=alpha,
        )

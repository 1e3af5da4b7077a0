"""Stochastic depth."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a whole sample's branch with probability `rate` in training, scaling the rest.

    Args:
        rate: Probability of dropping, in [0, 1).
        axis: Axis of the samples.

    Raises:
        ValueError: `rate` is outside [0, 1).

    Source: Huang et al., Deep Networks with Stochastic Depth (2016).
    """

    def __init__(self, rate: float = 0.0, axis: int = 0) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be in [0, 1), got {rate}")
        self.rate, self.axis = rate, axis

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with dropped samples at zero; `x` itself in evaluation."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = [1] * x.dim()
        shape[self.axis] = x.shape[self.axis]
        mask = x.new_empty(shape).bernoulli_(keep)
        return x * mask / keep

    def extra_repr(self) -> str:
        """Show the rate in the model's printout."""
        return f"rate={self.rate:g}"

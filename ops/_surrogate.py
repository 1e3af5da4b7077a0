"""The step function of a spiking neuron with another function's derivative."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

Surrogate = Literal["sigmoid", "atan", "triangle", "erf"]

DEFAULT_ALPHA = {"sigmoid": 4.0, "atan": 2.0, "triangle": 1.0, "erf": 2.0}


def slope(u: Tensor, surrogate: Surrogate, alpha: float) -> Tensor:
    """Return the derivative that stands for the one of the step at `u`.

    sigmoid(alpha u), atan(pi / 2 alpha u) / pi, a parabola with the slope alpha - alpha^2 |u|, or
    erf(alpha u) / 2, differentiated.
    """
    z = alpha * u
    if surrogate == "sigmoid":
        q = torch.sigmoid(z)
        return ((1.0 - q) * q) * alpha
    if surrogate == "atan":
        return 0.5 * alpha / (1.0 + (math.pi / 2 * z).square())
    if surrogate == "triangle":
        return (alpha - alpha * z.abs()).clamp(min=0.0)
    return alpha / math.sqrt(math.pi) * torch.exp(-z.square())


def fire(u: Tensor, surrogate: Surrogate, alpha: float) -> Tensor:
    """Return 1 where u >= 0, else 0; backward, `slope`."""
    return _Fire.apply(u, surrogate, alpha)


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, surrogate: Surrogate, alpha: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate, ctx.alpha = surrogate, alpha
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grads[0] * slope(u, ctx.surrogate, ctx.alpha), None, None

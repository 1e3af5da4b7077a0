"""Batch normalisation and ReLU on the CPU by torch's own loops, the cut made in place."""

from __future__ import annotations

import torch
from torch import Tensor


def batch_norm_relu_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (R, C), and the mean and biased variance of x (C,), empty where both are given."""
    own = mean is None
    wide = x.contiguous()
    y, center, spread = torch.native_batch_norm(wide, weight, bias, mean, var, own, 0.0, eps)
    if relu:
        y.relu_()
    if not own:
        return y, x.new_empty(0, dtype=torch.float32), x.new_empty(0, dtype=torch.float32)
    return y, center.float(), spread.float().pow(-2) - eps


def batch_norm_relu_bwd(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x (R, C), weight and bias (C,)."""
    x, grad = x.contiguous(), grad.contiguous()
    rstd = (var + eps).rsqrt()
    if relu:
        y = torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps)[0]
        grad = torch.where(y > 0, grad, 0)
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, mean, var, mean, rstd, own, eps, [True, True, True]
    )

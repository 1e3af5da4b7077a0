"""The end of a local group on the CPU: torch's batch normalisation, sum and maximum."""

from __future__ import annotations

import torch
from torch import Tensor


def batch_norm_max_fwd(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return out (B, M, C), the winning neighbours (uint8), and mean and biased variance (C,).

    The statistics are empty where both are given.
    """
    own = mean is None
    rows = x.reshape(-1, x.shape[-1])
    y, center, spread = torch.native_batch_norm(rows, weight, bias, mean, var, own, 0.0, eps)
    best, winner = y.view(x.shape).add_(shortcut).max(dim=2)
    out, winner = best.relu_(), winner.to(torch.uint8)
    if not own:
        return out, winner, torch.empty(0), torch.empty(0)
    return out, winner, center.float(), spread.float().pow(-2) - eps


def batch_norm_max_bwd(
    grad: Tensor,
    x: Tensor,
    out: Tensor,
    winner: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    own: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, shortcut (B, M, K, C), weight and bias (C,)."""
    passed = torch.where(out > 0, grad, 0)[:, :, None]
    dshortcut = torch.zeros_like(x, memory_format=torch.contiguous_format)
    dshortcut.scatter_(2, winner.long()[:, :, None], passed)
    rows, drows = x.reshape(-1, x.shape[-1]), dshortcut.view(-1, x.shape[-1])
    rstd = (var + eps).rsqrt()
    dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
        drows, rows, weight, mean, var, mean, rstd, own, eps, [True, True, True]
    )
    return dx.view(x.shape), dshortcut, dweight, dbias

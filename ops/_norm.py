"""What the ops with batch normalisation share: statistics, running and of a batch, and checks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RunningStats(NamedTuple):
    """Running statistics of a batch normalisation, as `nn.BatchNorm1d` keeps them.

    Attributes:
        mean: (C,) running mean.
        var: (C,) running variance, unbiased.
    """

    mean: Tensor
    var: Tensor


@torch.no_grad()
def update_running(
    running: RunningStats, mean: Tensor, var: Tensor, rows: int, momentum: float
) -> None:
    """Take the mean and the biased variance of a batch of `rows` into the running statistics."""
    unbiased = momentum * rows / (rows - 1)
    running.mean.lerp_(mean.to(running.mean.dtype), momentum)
    running.var.mul_(1 - momentum).add_(var.to(running.var.dtype), alpha=unbiased)


def statistics_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (C,) and the biased variance (C,) of rows (R, C)."""
    mean = rows.mean(0)
    return mean, (rows - mean).square().mean(0)


def check_norm(x: Tensor, rows: int, training: bool, impl: str) -> None:
    """Check what is normalised.

    Raises:
        TypeError: `x` is not floating point, or float64 meets a kernel.
        ValueError: Training gets fewer than two rows.
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be real floating point, got {x.dtype}")
    if x.dtype == torch.float64 and impl != "reference":
        raise TypeError(
            f"x must be float16, bfloat16 or float32 for impl={impl!r}, got {x.dtype}; "
            "impl='reference' takes it"
        )
    if training and rows < 2:
        raise ValueError(
            f"x must have at least two rows in training, got {rows}; "
            "use a larger batch or training=False"
        )

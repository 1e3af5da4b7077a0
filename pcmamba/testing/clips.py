"""Clips of random events, and networks of neurons that fire on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def make_clips(
    batch: int = 3, frames: int = 4, hw: tuple[int, int] = (16, 24), seed: int = 0
) -> Tensor:
    """Return (B, T, 2, H, W) counts of events of both polarities, one in two pixels."""
    draw = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((batch, frames, 2, *hw), 0.5), generator=draw)


def settle(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Give batch normalisations the statistics of `inputs`, and put the model into evaluation.

    Currents of fresh statistics are too small to make neurons fire.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(inputs)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return model.eval()

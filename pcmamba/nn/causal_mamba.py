"""The Mamba mixer of one direction, and its local bidirectional form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcmamba.nn.bidirectional_mamba import ScanDirection
from pcmamba.ops import causal_conv1d, local_bidirectional_scan, selective_scan


class CausalMamba(nn.Module):
    """Mix a sequence with one selective scan from its first row to its last.

    Args:
        channels: C of the sequence.
        state_size: S, states per inner channel.
        conv_width: Taps of the causal convolution.
        expand: Inner width D = expand * C.
        segment: Let the scan look ahead inside segments of so many steps; None looks back only.
        enhancer: Applied to the projected (B, L, 2D), or None.

    Source: Gu and Dao, Mamba (2023), section 3; LBMamba (2025) for `segment`.
    """

    def __init__(
        self,
        channels: int,
        *,
        state_size: int = 16,
        conv_width: int = 4,
        expand: int = 2,
        segment: int | None = None,
        enhancer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, rank = expand * channels, math.ceil(channels / 16)
        self.segment = segment
        self.in_proj = nn.Linear(channels, 2 * width, bias=False)
        self.enhancer = enhancer
        self.ahead = ScanDirection(width, state_size, conv_width, rank, reverse=False)
        self.out_proj = nn.Linear(width, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map a sequence (B, L, C) to (B, L, C)."""
        both = self.in_proj(x)
        both = both if self.enhancer is None else self.enhancer(both)
        u, gate = both.chunk(2, dim=-1)
        b = self.ahead.branch()
        v = causal_conv1d(u, b.conv_weight, b.conv_bias, activation="silu")
        sizes = [b.dt_proj.shape[1], b.A_log.shape[1], b.A_log.shape[1]]
        steps, B, C = torch.split(F.linear(v, b.x_proj), sizes, dim=-1)
        inputs = (v, F.linear(steps, b.dt_proj), -b.A_log.exp(), B, C, b.D, gate)
        return self.out_proj(self._scan(inputs, b.dt_bias))

    def _scan(self, inputs: tuple[Any, ...], bias: Tensor | None) -> Tensor:
        if self.segment is None:
            y = selective_scan(*inputs, delta_bias=bias, delta_softplus=True)
        else:
            y = local_bidirectional_scan(
                *inputs, delta_bias=bias, delta_softplus=True, segment=self.segment
            )
        assert isinstance(y, Tensor)
        return y

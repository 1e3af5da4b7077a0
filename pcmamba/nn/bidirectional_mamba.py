"""The bidirectional Mamba mixer: one projection in, a scan each way, one projection out."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from pcmamba.ops import ScanBranch, bidirectional_scan

DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4


def inverse_softplus_steps(width: int) -> Tensor:
    """Draw (width,) biases whose softplus is log-uniform in [1e-3, 1e-1], as Mamba starts."""
    steps = torch.exp(torch.empty(width).uniform_(math.log(DT_MIN), math.log(DT_MAX)))
    steps = steps.clamp(min=DT_FLOOR)
    return steps + torch.log(-torch.expm1(-steps))


class ScanDirection(nn.Module):
    """Parameters of one direction: convolution, step, input and output projections, decay.

    Args:
        width: D, the mixer's inner width.
        state_size: S, states per channel.
        conv_width: Taps of the causal convolution.
        step_rank: r, rank of the step projection.
        reverse: Scan from the last point to the first.
        channel_reverse: Scan the gate and be gated by the input, channels in reverse.
        plain_step: Zero step bias and PyTorch's default step weight, which is what the released
            Point Cloud Mamba ends up with in its backward direction.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        conv_width: int,
        step_rank: int,
        *,
        reverse: bool,
        channel_reverse: bool = False,
        plain_step: bool = False,
    ) -> None:
        super().__init__()
        self.reverse, self.channel_reverse = reverse, channel_reverse
        self.conv = nn.Conv1d(width, width, conv_width, groups=width)
        self.x_proj = nn.Linear(width, step_rank + 2 * state_size, bias=False)
        self.dt_proj = nn.Linear(step_rank, width)
        rates = torch.arange(1, state_size + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().repeat(width, 1))
        self.D = nn.Parameter(torch.ones(width))
        self._start_steps(step_rank, plain_step)

    @torch.no_grad()
    def _start_steps(self, step_rank: int, plain_step: bool) -> None:
        if plain_step:
            self.dt_proj.bias.zero_()
            return
        bound = step_rank**-0.5
        self.dt_proj.weight.uniform_(-bound, bound)
        self.dt_proj.bias.copy_(inverse_softplus_steps(self.dt_proj.out_features))

    def branch(self) -> ScanBranch:
        """Return the parameters in the form the op takes."""
        return ScanBranch(
            conv_weight=self.conv.weight.squeeze(1),
            conv_bias=self.conv.bias,
            x_proj=self.x_proj.weight,
            dt_proj=self.dt_proj.weight,
            dt_bias=self.dt_proj.bias,
            A_log=self.A_log,
            D=self.D,
            reverse=self.reverse,
            channel_reverse=self.channel_reverse,
        )


class BidirectionalMamba(nn.Module):
    """Mix a sequence with two selective scans, summed and gated.

    Args:
        channels: C of the sequence.
        state_size: S, states per inner channel.
        conv_width: Taps of the causal convolutions.
        expand: Inner width D = expand * C.
        direction: What the second scan reverses: "token" runs from the last row to the first,
            "channel" runs ahead over [input ; gate] with the channels reversed, as Mamba3D.
        plain_backward_step: See `ScanDirection.plain_step`; for the second scan.
        enhancer: Applied to the projected (B, L, 2D), or None.

    Source: Zhu et al., Vision Mamba (2024), section 3.3; Gu and Dao, Mamba (2023), section 3;
    Han et al., Mamba3D (2024), section 3.4.
    """

    def __init__(
        self,
        channels: int,
        *,
        state_size: int = 16,
        conv_width: int = 4,
        expand: int = 2,
        direction: Literal["token", "channel"] = "token",
        plain_backward_step: bool = False,
        enhancer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width, rank = expand * channels, math.ceil(channels / 16)
        self.in_proj = nn.Linear(channels, 2 * width, bias=False)
        self.enhancer = enhancer
        sizes = (width, state_size, conv_width, rank)
        self.ahead = ScanDirection(*sizes, reverse=False)
        self.back = ScanDirection(
            *sizes,
            reverse=direction == "token",
            channel_reverse=direction == "channel",
            plain_step=plain_backward_step,
        )
        self.out_proj = nn.Linear(width, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map a sequence (B, L, C) to (B, L, C)."""
        both = self.in_proj(x)
        both = both if self.enhancer is None else self.enhancer(both)
        u, gate = both.chunk(2, dim=-1)
        y = bidirectional_scan(u, gate, (self.ahead.branch(), self.back.branch()))
        return self.out_proj(y)

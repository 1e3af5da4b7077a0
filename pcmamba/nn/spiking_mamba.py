"""The Mamba mixer between two layers of spiking neurons, over the grid of a clip's tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcmamba.nn.bidirectional_mamba import ScanDirection
from pcmamba.nn.grid_order import grid_order, is_frame_major
from pcmamba.nn.neuron import LIF, Neuron
from pcmamba.nn.norm_neuron import NormNeuron, Rectifier
from pcmamba.ops import (
    ScanBranch,
    bidirectional_scan,
    causal_conv1d,
    permute_rows,
    selective_scan,
)

Scan = Literal["bi", "frame", "forward"]


class MixerState(NamedTuple):
    """What the frames so far leave behind.

    Attributes:
        into: (B, N, D) membranes of the neurons before the scan, or None without neurons.
        out: (B, N, D) membranes of the neurons after it, or None.
        scan: (B, D, S) float32 state of the scan that runs ahead, or None.
        tail: (B, W - 1, D) last inputs of its convolution, or None.
    """

    into: Tensor | None
    out: Tensor | None
    scan: Tensor | None
    tail: Tensor | None


class SpikingMamba(nn.Module):
    """Scan the spikes of a clip as one sequence, frame after frame or along a curve.

        (u, z) = W_in x;  s = neurons(BN(u));  y = SSM(SiLU(conv(s)))
        out = W_out(neurons(BN(y)) SiLU(z))

    Neurons run along time whatever the order; convolution and scans follow the order.

    Args:
        channels: C.
        grid: Frames, rows and columns that are prepared; other grids work.
        order: See `grid_order`.
        scan: "bi" scans the clip from both ends, "frame" ahead over the clip and back inside each
            frame, "forward" ahead alone.
        state_size: S, states per inner channel.
        conv_width: W, taps of the causal convolutions.
        expand: Inner width D = expand * C.
        neuron: Makes a layer of neurons.
        norm: "bn" before each layer of neurons, or "none".

    Raises:
        ValueError: The order is unknown, or mixes frames and `scan` is "frame".

    Source: SpikMamba (arXiv 2410.16746), figure 2; Zhu et al., Vision Mamba (2024).
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int, int],
        *,
        order: str = "raster",
        scan: Scan = "bi",
        state_size: int = 16,
        conv_width: int = 4,
        expand: int = 2,
        neuron: Callable[[], Neuron | Rectifier] = LIF,
        norm: Literal["bn", "none"] = "bn",
    ) -> None:
        super().__init__()
        width, rank = expand * channels, math.ceil(channels / 16)
        self.grid, self.order, self.scan = grid, order, scan
        self.in_proj = nn.Linear(channels, 2 * width, bias=False)
        self.in_fire = NormNeuron(width, neuron(), norm)
        sizes = (width, state_size, conv_width, rank)
        self.ahead = ScanDirection(*sizes, reverse=False)
        self.back = None if scan == "forward" else ScanDirection(*sizes, reverse=True)
        self.scan_fire = NormNeuron(width, neuron(), norm)
        self.out_proj = nn.Linear(width, channels, bias=False)
        perm = grid_order(order, *grid)
        self.frame_major = is_frame_major(perm, grid[0])
        if scan == "frame" and not self.frame_major:
            raise ValueError(_mixes(order, "scan='frame'"))
        self.perm: Tensor | None
        self.register_buffer("perm", None if perm is None else perm.clone(), persistent=False)

    def check_online(self) -> None:
        """Check that frames can be given one after the other.

        Raises:
            NotImplementedError: The scan needs later frames, or the order mixes frames.
        """
        if self.scan == "bi":
            raise NotImplementedError(
                "scan must be 'frame' or 'forward' to carry a state from frame to frame, got 'bi': "
                "its backward scan starts from the last frame. Give the whole clip in one call "
                "without a state, which is the offline way, or train with scan='frame'"
            )
        if not self.frame_major:
            raise NotImplementedError(_mixes(self.order, "a state carried from frame to frame"))

    def forward(
        self,
        x: Tensor,
        grid_hw: tuple[int, int],
        first: int = 0,
        state: MixerState | None = None,
    ) -> tuple[Tensor, MixerState]:
        """Mix frames (T, B, N, C) of rows times columns N.

        Args:
            x: (T, B, N, C), tokens row by row.
            grid_hw: Rows and columns.
            first: Place of the first of these frames in its clip.
            state: What the frames before left, or None at a clip's start.

        Returns:
            (T, B, N, C), and the state after the last frame.
        """
        before = state or MixerState(None, None, None, None)
        u, z = self.in_proj(x).chunk(2, dim=-1)
        spikes, into = self.in_fire(u, before.into)
        y, scan, tail = self._mix(spikes, grid_hw, first, before)
        fired, out = self.scan_fire(y, before.out)
        return self.out_proj(fired * F.silu(z)), MixerState(into, out, scan, tail)

    def _mix(
        self, spikes: Tensor, grid_hw: tuple[int, int], first: int, before: MixerState
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        frames, batch, tokens, width = spikes.shape
        rows = spikes.transpose(0, 1).reshape(batch, frames * tokens, width)
        perm = self._perm(frames, grid_hw, first, rows)
        if self.scan == "bi":
            assert self.back is not None
            branches = (self.ahead.branch(), self.back.branch())
            y, scan, tail = bidirectional_scan(rows, None, branches, perm=perm), None, None
        else:
            rows = rows if perm is None else permute_rows(rows, perm)
            y, scan, tail = _run(rows, self.ahead.branch(), before)
            if self.back is not None:
                inside = rows.view(batch * frames, tokens, width)
                back = _run(inside, self.back.branch(), MixerState(None, None, None, None))[0]
                y = y + back.view(y.shape)
            y = y if perm is None else permute_rows(y, perm.argsort(dim=1))
        return y.view(batch, frames, tokens, width).transpose(0, 1), scan, tail

    def _perm(
        self, frames: int, grid_hw: tuple[int, int], first: int, rows: Tensor
    ) -> Tensor | None:
        """Return the order of these frames' tokens, (B, T N), or None for theirs."""
        length, perm = self.grid[0], self.perm
        fits = first + frames <= length if self.frame_major else frames == length
        if grid_hw != self.grid[1:] or not fits:
            made = grid_order(self.order, first + frames, *grid_hw)
            perm = None if made is None else made.to(rows.device)
        if perm is None:
            return None
        tokens = grid_hw[0] * grid_hw[1]
        perm = perm[first * tokens : (first + frames) * tokens] - first * tokens
        return perm.expand(len(rows), -1).contiguous()


def _run(rows: Tensor, branch: ScanBranch, before: MixerState) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve and scan rows (B, L, D); return also the state and the convolution's last inputs."""
    halo = branch.conv_weight.shape[1] - 1
    tail = before.tail
    joined = rows if tail is None else torch.cat([tail, rows], dim=1)
    taps, reverse = (branch.conv_weight, branch.conv_bias), branch.reverse
    v = causal_conv1d(joined, *taps, activation="silu", reverse=reverse)
    v = v if tail is None else v[:, halo:]
    rank, states = branch.dt_proj.shape[1], branch.A_log.shape[1]
    steps, B, C = torch.split(F.linear(v, branch.x_proj), [rank, states, states], dim=-1)
    y, scan = selective_scan(
        *(v, F.linear(steps, branch.dt_proj), -branch.A_log.exp(), B, C, branch.D),
        delta_bias=branch.dt_bias,
        initial_state=before.scan,
        delta_softplus=True,
        return_last_state=True,
        reverse=reverse,
    )
    kept = min(halo, joined.shape[1])
    last = joined[:, joined.shape[1] - kept :]
    return y, scan, F.pad(last, (0, 0, halo - kept, 0))


def _mixes(order: str, what: str) -> str:
    return (
        f"order must visit frame after frame for {what}, got {order!r}; raster and frame-{order} do"
    )

"""Spiking linear attention inside the frames of a clip, over whole frames or windows of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcmamba.nn.neuron import LIF, Neuron
from pcmamba.nn.norm_neuron import NormNeuron, Rectifier
from pcmamba.nn.rotary import rotary_table, rotate

FLOOR = 1e-6


class AttentionState(NamedTuple):
    """Membranes (B, N, ...) of the queries and keys together, and of the attention's output."""

    query_key: Tensor | None
    out: Tensor | None


class SpikingLinearAttention(nn.Module):
    """Mix the tokens of each frame by linear attention between spiking queries and keys.

        u = SiLU(DWConv(W_in x));  q, k = neurons(BN(W_qk u));  v = u
        o = LinAttn(1 + q, 1 + k, v) + DWConv(v);  out = W_out(neurons(BN(o)) SiLU(W_gate x))

    Neurons run along time; attention never leaves a frame and is computed in float32. Spikes are
    0 or 1, on which the usual feature map ELU + 1 is one more.

    Args:
        channels: C.
        heads: Heads of C / heads channels.
        grid_hw: Rows and columns whose positions are prepared; any other map works.
        window: Side of a window in tokens; None takes the whole frame.
        rope: Turn queries and keys by the token's place.
        lepe: Add the depthwise convolution of the values.
        v_proj: Project the values once more.
        neuron: Makes a layer of neurons.
        norm: "bn" before each layer of neurons, or "none".

    Raises:
        ValueError: `heads` does not divide C.

    Source: SpikMamba (arXiv 2410.16746), figure 2; Han et al., MLLA (2024), for the attention.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        grid_hw: tuple[int, int],
        *,
        window: int | None = None,
        rope: bool = True,
        lepe: bool = True,
        v_proj: bool = False,
        neuron: Callable[[], Neuron | Rectifier] = LIF,
        norm: Literal["bn", "none"] = "bn",
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"heads must divide the {channels} channels, got {heads}")
        self.heads, self.window = heads, window
        self.in_proj = nn.Linear(channels, channels)
        self.in_conv = MapConv(channels)
        self.gate_proj = nn.Linear(channels, channels)
        self.query_key = nn.Linear(channels, 2 * channels)
        self.query_key_fire = NormNeuron(2 * channels, neuron(), norm)
        self.value = nn.Linear(channels, channels) if v_proj else None
        self.lepe = MapConv(channels) if lepe else None
        self.out_fire = NormNeuron(channels, neuron(), norm)
        self.out_proj = nn.Linear(channels, channels)
        self.grid_hw = grid_hw
        self.turns: Tensor | None
        turns = rotary_table(*grid_hw, channels) if rope else None
        self.register_buffer("turns", turns, persistent=False)

    def forward(
        self, x: Tensor, grid_hw: tuple[int, int], state: AttentionState | None = None
    ) -> tuple[Tensor, AttentionState]:
        """Map frames (T, B, N, C) of rows times columns N to the same shape.

        Args:
            x: (T, B, N, C), tokens row by row.
            grid_hw: Rows and columns.
            state: Membranes after the frames before, or None at a clip's start.

        Returns:
            The mixed tokens, and the membranes after the last frame.
        """
        before = state or AttentionState(None, None)
        u = F.silu(self.in_conv(self.in_proj(x), grid_hw))
        spikes, query_key = self.query_key_fire(self.query_key(u), before.query_key)
        v = u if self.value is None else self.value(u)
        o = self._attend(spikes, v, grid_hw)
        if self.lepe is not None:
            o = o + self.lepe(v, grid_hw)
        fired, out = self.out_fire(o, before.out)
        gated = fired * F.silu(self.gate_proj(x))
        return self.out_proj(gated), AttentionState(query_key, out)

    def _attend(self, spikes: Tensor, v: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        dtype = torch.promote_types(v.dtype, torch.float32)
        with torch.autocast(v.device.type, enabled=False):
            q, k = (1.0 + spikes.flatten(0, 1).to(dtype)).chunk(2, dim=-1)
            values = v.flatten(0, 1).to(dtype)
            turned_q, turned_k = (self._turn(part, grid_hw) for part in (q, k))
            if self.window is None:
                o = attend(q, k, turned_q, turned_k, values, self.heads)
                return o.view(v.shape)
            parts = (q, k, turned_q, turned_k, values)
            windows = Windows(self.window, *grid_hw)
            q, k, turned_q, turned_k, values = map(windows.cut, parts)
            count = windows.count(values)
            o = attend(q, k, turned_q, turned_k, values, self.heads, count)
            return windows.join(o).view(v.shape)

    def _turn(self, x: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        if self.turns is None:
            return x
        turns = self.turns
        if grid_hw != self.grid_hw:
            turns = rotary_table(*grid_hw, x.shape[-1]).to(x.device)
        return rotate(x, turns.to(x.dtype))


class MapConv(nn.Conv2d):
    """Depthwise 3 x 3 convolution of the map that tokens form, padded with zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, grid_hw: tuple[int, int]) -> Tensor:  # type: ignore[override]
        """Convolve each frame of tokens (T, B, N, C) on its map of rows and columns."""
        maps = x.reshape(-1, *grid_hw, x.shape[-1]).permute(0, 3, 1, 2)
        return super().forward(maps).permute(0, 2, 3, 1).reshape(x.shape)


def attend(
    q: Tensor,
    k: Tensor,
    turned_q: Tensor,
    turned_k: Tensor,
    v: Tensor,
    heads: int,
    count: Tensor | None = None,
) -> Tensor:
    """Linear attention of M tokens: o_n = (turned q_n KV) / (q_n . mean k + 1e-6).

    Args:
        q: (R, M, C) positive queries, as they are and turned.
        k: (R, M, C) keys, zero where a token is padding.
        turned_q: (R, M, C).
        turned_k: (R, M, C).
        v: (R, M, C) values; KV is the mean of turned k_m^T v_m over the tokens.
        heads: Heads that share C.
        count: (R or a divisor of it,) tokens that are no padding, if not M; rows repeat it.

    Returns:
        (R, M, C).
    """
    rows, tokens, channels = q.shape
    shares = q.new_full((1,), tokens) if count is None else count.to(q.dtype)
    shares = shares.repeat(rows // len(shares))[:, None, None, None]
    split = (rows, tokens, heads, channels // heads)
    mean = k.view(split).sum(dim=1, keepdim=True) / shares
    norm = (q.view(split) * mean).sum(dim=-1, keepdim=True) + FLOOR
    turned_q, turned_k, v = (part.view(split).transpose(1, 2) for part in (turned_q, turned_k, v))
    memory = turned_k.transpose(-1, -2) @ v / shares
    return ((turned_q @ memory).transpose(1, 2) / norm).reshape(rows, tokens, channels)


class Windows:
    """Cut maps into windows, padded on the right and below, and join them again.

    Args:
        side: Tokens a side.
        height: Rows of a map.
        width: Columns.
    """

    def __init__(self, side: int, height: int, width: int) -> None:
        self.side, self.height, self.width = side, height, width
        self.down, self.across = -(-height // side), -(-width // side)

    def count(self, x: Tensor) -> Tensor:
        """Return the tokens of each window (windows,) that are no padding, typed as `x`."""
        return self.cut(x.new_ones(1, self.height * self.width, 1)).sum(dim=(1, 2))

    def cut(self, x: Tensor) -> Tensor:
        """Bring (R, N, C) to (R windows, side side, C), zeros in the padding."""
        side, channels = self.side, x.shape[-1]
        maps = x.view(-1, self.height, self.width, channels)
        right, below = self.across * side - self.width, self.down * side - self.height
        maps = F.pad(maps, (0, 0, 0, right, 0, below))
        maps = maps.view(-1, self.down, side, self.across, side, channels).transpose(2, 3)
        return maps.reshape(-1, side * side, channels)

    def join(self, x: Tensor) -> Tensor:
        """Undo `cut`."""
        side, channels = self.side, x.shape[-1]
        maps = x.view(-1, self.down, self.across, side, side, channels).transpose(2, 3)
        maps = maps.reshape(-1, self.down * side, self.across * side, channels)
        return maps[:, : self.height, : self.width].reshape(-1, self.height * self.width, channels)

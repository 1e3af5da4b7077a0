"""Collaborative feature enhancer: a gate per token from global and local context."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mixing = Literal["gated", "swapped", "sum"]


class FeatureEnhancer(nn.Module):
    """Strengthen the two halves of a mixer's input through each other.

    The stronger of each pair of adjacent channels, p, is gated by r = p * sigmoid(s), where s
    crosses a global path (channel attention, normalised over the tokens) with a local one (a
    convolution over three tokens). All groups of channels share the weights.

    The mean over tokens of the normalised path is its shift, whatever the input, so that half of
    the crossing is a constant vector.

    Args:
        channels: E, half of the mixer's 2E input channels.
        groups: Groups that share the weights; they must divide E.
        mixing: "gated" returns [p ; p r], "swapped" [p r ; p], "sum" [p ; p + r].
        skip_first: Leave the first token, which stands for the class, as it is.

    Source: HyMamba (2025), collaborative feature enhancer, in our reading; after Ouyang et al.,
    Efficient Multi-Scale Attention (2023).
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 32,
        mixing: Mixing = "gated",
        skip_first: bool = False,
    ) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"groups must divide the {channels} channels, got {groups}")
        if mixing not in ("gated", "swapped", "sum"):
            raise ValueError(f"mixing must be 'gated', 'swapped' or 'sum', got {mixing!r}")
        self.groups, self.mixing, self.skip_first = groups, mixing, skip_first
        width = channels // groups
        self.norm = nn.GroupNorm(width, width)
        self.attention = nn.Linear(width, width)
        self.local = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map the mixer's input (B, T, 2E), as projected, to (B, T, 2E)."""
        p = x.unflatten(-1, (-1, 2)).amax(dim=-1)
        r = self.enhanced(p)
        halves = {"gated": (p, p * r), "swapped": (p * r, p), "sum": (p, p + r)}[self.mixing]
        return torch.cat(halves, dim=-1)

    def enhanced(self, p: Tensor) -> Tensor:
        """Return r (B, T, E) of p (B, T, E)."""
        if not self.skip_first:
            return self._gate(p)
        return torch.cat([p[:, :1], self._gate(p[:, 1:])], dim=1)

    def _gate(self, p: Tensor) -> Tensor:
        q = p.unflatten(-1, (self.groups, -1))
        globally = self._global_path(q)
        locally = self._local_path(q)
        # The mean of the normalised path is its shift exactly.
        score = locally @ self.norm.bias.softmax(dim=0).to(locally.dtype)
        score = score + (globally * locally.mean(dim=1, keepdim=True).softmax(dim=-1)).sum(-1)
        return (q * torch.sigmoid(score)[..., None]).flatten(-2)

    def _global_path(self, q: Tensor) -> Tensor:
        attended = q * torch.sigmoid(self.attention(q.mean(dim=1, keepdim=True)))
        centred = attended - attended.mean(dim=1, keepdim=True)
        spread = centred.square().mean(dim=1, keepdim=True)
        return centred * torch.rsqrt(spread + self.norm.eps) * self.norm.weight + self.norm.bias

    def _local_path(self, q: Tensor) -> Tensor:
        """Convolve over the tokens as one product with three rows side by side."""
        padded = F.pad(q, (0, 0, 0, 0, 1, 1))
        rows = torch.cat([padded[:, :-2], q, padded[:, 2:]], dim=-1)
        return F.linear(rows, self.local.weight.permute(0, 2, 1).flatten(1), self.local.bias)

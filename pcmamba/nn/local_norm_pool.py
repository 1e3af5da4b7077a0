"""Exchange between neighbouring tokens by normalised differences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcmamba.ops import gfcp
from pcmamba.ops.gfcp import DistanceWeight


class LocalNormPool(nn.Module):
    """Pool the normalised differences to the neighbours and project them back.

    Args:
        channels: C of a token.
        weight: How distance counts: "none" is Mamba3D's K-pool, "exp" HyMamba's coupling.
        per_sample: One deviation for each cloud; False one for the whole batch, as released.

    Source: Han et al., Mamba3D (2024), section 3.3; HyMamba (2025).
    """

    def __init__(
        self, channels: int, *, weight: DistanceWeight = "none", per_sample: bool = True
    ) -> None:
        super().__init__()
        self.weight, self.per_sample = weight, per_sample
        self.alpha = nn.Parameter(torch.ones(2 * channels))
        self.beta = nn.Parameter(torch.zeros(2 * channels))
        self.norm = nn.LayerNorm(2 * channels, eps=1e-5)
        self.project = nn.Linear(2 * channels, channels)

    def forward(self, tokens: Tensor, centres: Tensor, idx: Tensor) -> Tensor:
        """Map tokens (B, G, C) at `centres` (B, G, 3) with neighbours (B, G, K) to (B, G, C)."""
        return nn.functional.silu(self.project(self.norm(self.pool(tokens, centres, idx))))

    def pool(self, tokens: Tensor, centres: Tensor, idx: Tensor) -> Tensor:
        """Return the pooled (B, G, 2C) before normalisation and projection."""
        return gfcp(
            *(tokens, centres, idx, self.alpha, self.beta),
            weight=self.weight,
            per_sample=self.per_sample,
        )

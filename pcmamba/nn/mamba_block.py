"""A pre-norm block whose residual stream travels beside the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcmamba.nn.bidirectional_mamba import BidirectionalMamba
from pcmamba.nn.drop_path import DropPath
from pcmamba.ops import add_rms_norm


class MambaBlock(nn.Module):
    """Add the features to the residual stream, normalise it, mix it.

    The stream is kept in float32. The first block has no stream yet and starts it with its input,
    without drop path.

    Args:
        mixer: The mixer, (B, L, C) to (B, L, C).
        channels: C.
        drop_path: Rate of stochastic depth on the incoming features.
    """

    def __init__(self, mixer: BidirectionalMamba, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(channels, eps=1e-5)
        self.mixer = mixer
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mixed features and the new residual stream, both (B, L, C)."""
        if residual is not None and self.training and self.drop_path.rate > 0.0:
            x = self.drop_path(x.to(residual.dtype))
        device = x.device.type
        autocast = torch.is_autocast_enabled(device)
        normed, stream = add_rms_norm(
            x,
            self.norm.weight,
            residual,
            eps=1e-5,
            dtype=torch.get_autocast_dtype(device) if autocast else self.norm.weight.dtype,
        )
        return self.mixer(normed), stream

"""Layers on single points: linear maps over rows with batch normalisation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pcmamba.ops import RunningStats, batch_norm_max, batch_norm_relu


class NormReLU(nn.Module):
    """Batch normalisation over all rows, then ReLU: (..., C) to (..., C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel over every leading axis, then cut at zero."""
        rows = x.reshape(-1, x.shape[-1])
        if isinstance(self.norm, nn.SyncBatchNorm):
            return nn.functional.relu(self.norm(rows)).view(x.shape)
        return batch_norm_relu(rows, **_begin(self.norm)).view(x.shape)


class LinearNormReLU(nn.Sequential):
    """Linear, batch normalisation, ReLU: (..., in) to (..., out)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = False) -> None:
        super().__init__(nn.Linear(in_channels, out_channels, bias=bias), NormReLU(out_channels))


class NeighbourPool(nn.Module):
    """Refine projected groups with a residual block and keep the strongest of each channel.

    Normalise and cut, then linear-norm-ReLU-linear-norm around a shortcut, then the maximum over
    the neighbours. The last ReLU comes after the maximum, which gives the same values for 1/K of
    the work.

    Args:
        channels: C of the groups.
        blocks: Residual blocks, at least one.

    Source: Ma et al., PointMLP (2022), section 3.1.
    """

    def __init__(self, channels: int, blocks: int = 1) -> None:
        super().__init__()
        self.start = NormReLU(channels)
        self.blocks = nn.ModuleList(ResidualPointMLP(channels) for _ in range(blocks))

    def forward(self, groups: Tensor) -> Tensor:
        """Pool (B, S, K, C) over the neighbours to (B, S, C)."""
        x = self.start(groups)
        for block in self.blocks[:-1]:
            x = nn.functional.relu(block(x))
        last = self.blocks[-1]
        assert isinstance(last, ResidualPointMLP)
        return last.strongest(x)


class ResidualPointMLP(nn.Module):
    """Linear-norm-ReLU-linear-norm plus the input, without the last ReLU: (..., C) to (..., C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = LinearNormReLU(channels, channels)
        self.outer = nn.Linear(channels, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum before its ReLU."""
        y = self.outer(self.inner(x))
        return x + self.norm(y.reshape(-1, y.shape[-1])).view(y.shape)

    def strongest(self, x: Tensor) -> Tensor:
        """Return the maximum of the sum over the neighbours of (B, S, K, C), after its ReLU."""
        if isinstance(self.norm, nn.SyncBatchNorm):
            return nn.functional.relu(self(x).max(dim=2).values)
        y = self.outer(self.inner(x))
        return batch_norm_max(y, x.to(y.dtype), **_begin(self.norm))


def normalise_rows(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Apply a batch normalisation to the last axis of `x` (..., C), over all the others."""
    rows = x.reshape(-1, x.shape[-1])
    if isinstance(norm, nn.SyncBatchNorm):
        return norm(rows).view(x.shape)
    return batch_norm_relu(rows, **_begin(norm), relu=False).view(x.shape)


def _begin(norm: nn.BatchNorm1d) -> dict[str, Any]:
    """Count a batch in training, and return what the ops take of a batch normalisation."""
    assert norm.running_mean is not None and norm.running_var is not None
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    return {
        "weight": norm.weight,
        "bias": norm.bias,
        "running": RunningStats(norm.running_mean, norm.running_var),
        "training": norm.training,
        "momentum": norm.momentum,
        "eps": norm.eps,
    }

"""Patches of a cloud around farthest points, each turned into one token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcmamba.nn.pointwise import LinearNormReLU
from pcmamba.ops import farthest_point_sample, group, knn

# The released sampler never takes a later point whose squared norm is at most this.
RELEASED_EXCLUSION = 1e-3


def patch_centres(xyz: Tensor, count: int, *, skip_origin: bool = False) -> Tensor:
    """Return (B, count, 3) farthest points of clouds (B, N, 3), the first point first.

    Args:
        xyz: (B, N, 3) coordinates.
        count: Centres.
        skip_origin: Never take a point near the origin after the first, as the released sampler.

    Raises:
        ValueError: A cloud has fewer than `count` points.
    """
    if xyz.shape[1] < count:
        raise ValueError(f"xyz must have at least {count} points a cloud, got {xyz.shape[1]}")
    searched = xyz
    if skip_origin:
        # A copy of the start is at distance 0 from the sample, and so never the farthest.
        near = xyz.square().sum(-1, keepdim=True) <= RELEASED_EXCLUSION
        searched = torch.where(near, xyz[:, :1], xyz)
    rows = farthest_point_sample(searched, count)
    return xyz.gather(1, rows[..., None].expand(-1, -1, 3))


class PatchEmbedding(nn.Module):
    """A small PointNet over the nearest points of each centre, relative to it.

    Args:
        channels: C of a token.
        patch_size: Points of a patch, the nearest to its centre.

    Source: Pang et al., Point-MAE (2022), section 3.1.
    """

    def __init__(self, channels: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.point = nn.Sequential(LinearNormReLU(3, 128, bias=True), nn.Linear(128, 256))
        self.patch = nn.Sequential(LinearNormReLU(512, 512, bias=True), nn.Linear(512, channels))

    def forward(self, xyz: Tensor, centres: Tensor) -> Tensor:
        """Return the tokens (B, G, C) of patches of `xyz` (B, N, 3) at `centres` (B, G, 3).

        Raises:
            ValueError: A cloud has fewer points than a patch.
        """
        return self.embed(self.patches(xyz, centres))

    def patches(self, xyz: Tensor, centres: Tensor) -> Tensor:
        """Return (B, G, M, 3), the points of each patch relative to its centre."""
        if xyz.shape[1] < self.patch_size:
            raise ValueError(f"xyz must have {self.patch_size} points a cloud, got {xyz.shape[1]}")
        idx = knn(centres, xyz, self.patch_size).idx
        return group(xyz, idx, centre=-centres)

    def embed(self, patches: Tensor) -> Tensor:
        """Return the tokens (B, G, C) of relative patches (B, G, M, 3)."""
        points = self.point(patches)
        whole = points.amax(dim=2, keepdim=True)
        # A linear map of [whole ; point] is the sum of two, and one of them is the same for all.
        block: Any = self.patch[0]
        first, norm = block
        whole_weight, point_weight = first.weight.tensor_split(2, dim=1)
        mixed = nn.functional.linear(points, point_weight)
        mixed = mixed + nn.functional.linear(whole, whole_weight, first.bias)
        return self.patch[1](norm(mixed)).amax(dim=2)

"""Groups of neighbours in the frame of their centre, projected without being materialised."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcmamba.ops import farthest_point_sample, group, group_std, knn, permute_rows, wide_linear

SIGMA_EPS = 1e-5
HALVES = (torch.float16, torch.bfloat16)


class Centres(NamedTuple):
    """The points a stage goes on with.

    Attributes:
        xyz: (B, S, 3) coordinates.
        feat: (B, S, C) features.
        residual: (B, S, C) residual stream or None.
        rows: (B, S) rows of the input they come from, ascending; None where all are kept.
    """

    xyz: Tensor
    feat: Tensor
    residual: Tensor | None
    rows: Tensor | None


class LocalGrouper(nn.Module):
    """Sample centres, find their neighbours, normalise the differences, project them.

    A group is [alpha * (neighbour - centre) / (sigma + 1e-5) + beta, features of the centre], with
    one standard deviation sigma for each cloud. Its projection is linear in the neighbour and in
    the centre, so points and centres are projected once and then gathered: K times less work, and
    no (B, S, K, 2C + 3) tensor.

    Args:
        in_channels: C of the input features.
        out_channels: Channels of the projected groups.
        neighbours: K, the centre itself included.
        reducer: One centre for so many points; 1 keeps every point.
        use_xyz: Append the coordinates to the features that are compared.

    Source: Ma et al., PointMLP (2022), section 3.2; Zhang et al., Point Cloud Mamba (2024),
    section 3.2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        neighbours: int,
        reducer: int,
        use_xyz: bool = True,
    ) -> None:
        super().__init__()
        self.neighbours, self.reducer, self.use_xyz = neighbours, reducer, use_xyz
        compared = in_channels + (3 if use_xyz else 0)
        self.alpha = nn.Parameter(torch.ones(compared))
        self.beta = nn.Parameter(torch.zeros(compared))
        self.projection = nn.Linear(compared + in_channels, out_channels, bias=False)

    def forward(self, xyz: Tensor, feat: Tensor, residual: Tensor | None) -> tuple[Centres, Tensor]:
        """Return the centres and their projected groups (B, S, K, out_channels).

        Args:
            xyz: (B, N, 3) coordinates.
            feat: (B, N, C) features.
            residual: (B, N, C) residual stream, sampled along, or None.

        Raises:
            ValueError: A cloud has fewer points than `reducer` or than `neighbours`.
        """
        centres = self.sample(xyz, feat, residual)
        idx = knn(centres.xyz, xyz, self.neighbours).idx
        # Half precision would lose the small differences of coordinates that make up a group, if
        # it came before the difference is taken.
        with torch.autocast(xyz.device.type, enabled=False):
            points, centre = self._project(xyz, feat, centres, idx)
        return centres, group(points, idx, centre=centre, dtype=_row_dtype(xyz))

    def sample(self, xyz: Tensor, feat: Tensor, residual: Tensor | None) -> Centres:
        """Keep N // reducer points: farthest points from the first on, in sequence order."""
        count = xyz.shape[1] // self.reducer
        if count < 1 or xyz.shape[1] < self.neighbours:
            need = max(self.reducer, self.neighbours)
            raise ValueError(f"a stage must get at least {need} points, got {xyz.shape[1]}")
        if self.reducer == 1:
            return Centres(xyz, feat, residual, None)
        rows = farthest_point_sample(xyz, count).sort(dim=1).values
        kept = None if residual is None else permute_rows(residual, rows)
        return Centres(permute_rows(xyz, rows), permute_rows(feat, rows), kept, rows)

    def compared(self, xyz: Tensor, feat: Tensor) -> Tensor:
        """Return what is compared between a point and its centre: features, then coordinates."""
        if not self.use_xyz:
            return feat.to(xyz.dtype)
        return torch.cat([feat.to(xyz.dtype), xyz], dim=-1)

    def groups(self, xyz: Tensor, feat: Tensor, centres: Centres) -> Tensor:
        """Materialise the groups (B, S, K, 2C + 3): the definition that `forward` projects."""
        idx = knn(centres.xyz, xyz, self.neighbours).idx
        points, anchor = self.compared(xyz, feat), self.compared(centres.xyz, centres.feat)
        scale = 1.0 / (group_std(points, idx, anchor) + SIGMA_EPS)
        difference = (group(points, idx) - anchor[:, :, None]) * scale[:, None, None, None]
        own = centres.feat[:, :, None].expand(-1, -1, self.neighbours, -1)
        return torch.cat([difference * self.alpha + self.beta, own], dim=-1)

    def _project(
        self, xyz: Tensor, feat: Tensor, centres: Centres, idx: Tensor
    ) -> tuple[Tensor, Tensor]:
        points, anchor = self.compared(xyz, feat), self.compared(centres.xyz, centres.feat)
        scale = 1.0 / (group_std(points, idx, anchor) + SIGMA_EPS)
        weight, own_weight = self.projection.weight.tensor_split([points.shape[-1]], dim=1)
        points = self._compared_rows(points, feat, weight * self.alpha) * scale[:, None, None]
        anchor = points if centres.rows is None else permute_rows(points, centres.rows)
        constant = weight @ self.beta
        if centres.feat.dtype not in HALVES:
            own = nn.functional.linear(centres.feat.to(xyz.dtype), own_weight, constant)
            return points, own - anchor
        return points, _wide(centres.feat, own_weight) + (constant - anchor)

    def _compared_rows(self, points: Tensor, feat: Tensor, weight: Tensor) -> Tensor:
        """Project what is compared; features in half precision need not be widened for it."""
        if feat.dtype not in HALVES:
            return nn.functional.linear(points, weight)
        inner = feat.shape[-1]
        rows = _wide(feat, weight[:, :inner])
        if not self.use_xyz:
            return rows
        return rows + nn.functional.linear(points[..., inner:], weight[:, inner:])


def _wide(x: Tensor, weight: Tensor) -> Tensor:
    return wide_linear(x.flatten(0, 1), weight).view(*x.shape[:2], -1)


def _row_dtype(xyz: Tensor) -> torch.dtype:
    """Return the dtype of the groups: autocast's where it is on."""
    kind = xyz.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else xyz.dtype

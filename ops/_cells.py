"""From coordinates to the cells that orders number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pcmamba.ops.orders import MAX_DEPTH


@dataclass(frozen=True)
class Clouds:
    """Which points make up a cloud: rows of a dense batch, or spans of a ragged one.

    Attributes:
        place: Index of each point in its cloud: (N,), or (total,) for a ragged batch.
        row: (total,) cloud of each point of a ragged batch; None for a dense one.
        start: (B,) first point of each ragged cloud; None for a dense batch.
    """

    place: Tensor
    row: Tensor | None = None
    start: Tensor | None = None

    @classmethod
    def of(cls, points: Tensor, offsets: Tensor | None) -> Clouds:
        """Describe the batch `points` (B, N, 3), or (total, 3) with `offsets` (B + 1,)."""
        place = torch.arange(points.shape[-2], device=points.device)
        if offsets is None:
            return cls(place)
        clouds = torch.arange(len(offsets) - 1, device=points.device)
        row = clouds.repeat_interleave(offsets.diff(), output_size=len(points))
        return cls(place - offsets[row], row, offsets[:-1])

    def smallest(self, values: Tensor) -> Tensor:
        """Take the minimum over each cloud's points; the result broadcasts with `values`."""
        return self._over_cloud(values, "amin")

    def largest(self, values: Tensor) -> Tensor:
        """Take the maximum over each cloud's points; the result broadcasts with `values`."""
        return self._over_cloud(values, "amax")

    def _over_cloud(self, values: Tensor, reduce: Literal["amin", "amax"]) -> Tensor:
        if self.row is None or self.start is None:
            return values.amin(1, True) if reduce == "amin" else values.amax(1, True)
        out = values.new_zeros(len(self.start), values.shape[-1])
        target = self.row[:, None].expand_as(values)
        return out.scatter_reduce(0, target, values, reduce, include_self=False)[self.row]


def make_grid(
    xyz: Tensor, clouds: Clouds, grid_size: float | None, depth: int | None
) -> tuple[Tensor, Tensor]:
    """Give every point its cell, counted from its cloud's smallest on each axis.

    Integer coordinates are cells already. The values are checked on the CPU only.

    Returns:
        The cells, int64 like `xyz`, and the largest of the point's own cloud, which broadcasts.

    Raises:
        ValueError: A coordinate is not finite or too far out, or a cloud has too many cells.
    """
    # One plane for each axis lies together in memory: orders read an axis at a time.
    xyz = xyz.movedim(-1, 0).contiguous().movedim(0, -1)
    if not xyz.is_floating_point():
        cells = xyz.long()
    elif grid_size is not None:
        cells = _cells_of_size(xyz.float(), grid_size)
    else:
        assert depth is not None
        cells = _cells_of_cube(xyz.float(), clouds, depth)
    grid = cells - clouds.smallest(cells)
    extent = clouds.largest(grid)
    _check_extent(extent, depth)
    return grid, extent


def _cells_of_size(xyz: Tensor, grid_size: float) -> Tensor:
    # A divisor on the device: a GPU multiplies by the reciprocal of a host number, which puts
    # points at the border of a cell into the next one.
    scaled = xyz / torch.full((), grid_size, device=xyz.device)
    if (furthest := _largest_magnitude(scaled)) >= 2**24:
        raise ValueError(
            "xyz / grid_size must stay below 2**24, where float32 still tells cells apart, got "
            f"{furthest:.4g}; subtract an origin from xyz or take larger cells"
        )
    return scaled.floor().long()


def _cells_of_cube(xyz: Tensor, clouds: Clouds, depth: int) -> Tensor:
    _largest_magnitude(xyz)
    offset = xyz - clouds.smallest(xyz)
    side = clouds.largest(offset).amax(-1, keepdim=True) / (1 << depth)
    cells = (offset / side.where(side > 0, 1.0)).floor().long()
    return cells.clamp(max=(1 << depth) - 1)


def _largest_magnitude(values: Tensor) -> float:
    """Return the largest magnitude, 0 on a GPU; refuse what is not finite."""
    if values.device.type != "cpu":
        return 0.0
    low, high = (float(bound) for bound in values.aminmax())
    if not math.isfinite(low) or not math.isfinite(high):
        bad = int((~values.isfinite()).any(-1).sum())
        raise ValueError(f"xyz must be finite, got {bad} points with nan or inf; drop them first")
    return max(-low, high)


def _check_extent(extent: Tensor, depth: int | None) -> None:
    if extent.device.type != "cpu":
        return
    largest, most = int(extent.amax()), depth or MAX_DEPTH
    if largest >> most:
        limit = "the depth given" if depth else "the most a code holds"
        raise ValueError(
            f"xyz must span at most 2**{most} cells an axis ({limit}), got {largest + 1}; "
            "take larger cells"
        )

"""What a model expects of a cloud, kept with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

UpAxis = Literal["x", "y", "z"]

# Rows of the right-handed rotation that brings the named axis to z: a cyclic exchange of axes,
# never a mirror.
_TO_Z = {"z": (0, 1, 2), "y": (2, 0, 1), "x": (1, 2, 0)}


def to_z_up(points: Tensor, up_axis: str) -> Tensor:
    """Rotate vectors (..., 3) so that `up_axis` becomes z: a cyclic exchange of axes.

    Raises:
        ValueError: `up_axis` is not x, y or z.
    """
    if up_axis not in _TO_Z:
        raise ValueError(f"up_axis must be x, y or z, got {up_axis!r}")
    return points if up_axis == "z" else points[..., list(_TO_Z[up_axis])]


@dataclass(frozen=True)
class Preprocessing:
    """Frame, place, size and number of points of the clouds a model was trained on.

    Args:
        num_points: Points of a training cloud.
        centre: Move the mean of the points to the origin.
        scale: "unit_sphere" divides by the largest distance from the origin; "none" keeps units.
        up_axis: The frame inside the library; files in another one are rotated into it.
    """

    kind: ClassVar[str] = "cloud"
    domain: ClassVar[str] = "clouds"

    num_points: int = 1024
    centre: bool = True
    scale: Literal["unit_sphere", "none"] = "unit_sphere"
    up_axis: Literal["z"] = "z"

    def __post_init__(self) -> None:
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")
        if self.scale not in ("unit_sphere", "none"):
            raise ValueError(f"scale must be 'unit_sphere' or 'none', got {self.scale!r}")

    def to_frame(self, points: Tensor, up_axis: str | None) -> Tensor:
        """Rotate (..., 3) from a frame with `up_axis` up into the model's; None leaves it."""
        return points if up_axis is None else to_z_up(points, up_axis)

    def normalize(self, points: Tensor) -> Tensor:
        """Centre and scale clouds (..., N, 3), each by its own points, in float32."""
        points = points.to(torch.float64)
        if self.centre:
            points = points - points.mean(dim=-2, keepdim=True)
        if self.scale == "unit_sphere":
            radius = points.norm(dim=-1).amax(dim=-1)[..., None, None]
            points = points / radius.clamp(min=torch.finfo(torch.float32).tiny)
        return points.to(torch.float32)

    def sample(self, points: Tensor, seed: int) -> Tensor:
        """Keep `num_points` of a cloud (N, 3), drawn by `seed`, in their order; fewer stay all."""
        if points.shape[0] <= self.num_points:
            return points
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(points.shape[0], generator=generator)[: self.num_points]
        return points[chosen.sort().values.to(points.device)]

"""One random geometric change per clip: shear, translation, rotation or cut-out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcmamba.data.batch import ClipBatch, Draw
from pcmamba.data.transforms.base import TRANSFORMS

_CHANGES = ("identity", "shear", "translate x", "translate y", "rotate", "cut out")


@dataclass(frozen=True)
class _Change:
    """Of each clip (B,), float64, all but one at rest: see `AugmentClip`."""

    shear: Tensor
    right: Tensor
    down: Tensor
    angle: Tensor
    erased: Tensor


@TRANSFORMS.register("augment_clip")
@dataclass(frozen=True)
class AugmentClip:
    """Change each clip in one way, drawn with equal chances, and all its frames alike.

    The ways are: none at all, shear along x, translation along x, translation along y, rotation
    about the centre, and a square erased. A size of 0 takes a way out. Pixels keep their values
    (nearest neighbour); where none comes from there is the clips' background.

    Args:
        shear: Most pixels along x per pixel along y, either way.
        translate: Most pixels, either way.
        rotate: Most degrees, either way.
        cut_out: Largest share of a frame that is erased; the least is 0.001.
        stream: Name of the draws.

    Raises:
        ValueError: A size is negative, or `cut_out` is above 1.

    Source: Zhou et al., Spikformer (ICLR 2023), the augmentation of its event clips.
    """

    shear: float = 0.3
    translate: float = 5.0
    rotate: float = 30.0
    cut_out: float = 0.11
    stream: str = "augment_clip"

    def __post_init__(self) -> None:
        for name in ("shear", "translate", "rotate", "cut_out"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.cut_out > 1:
            raise ValueError(f"cut_out must be at most 1, got {self.cut_out}")

    def __call__(self, batch: ClipBatch, draw: Draw) -> ClipBatch:
        """Move the pixels of every frame of a clip alike, then erase."""
        unit = draw.uniform(batch.index, self.stream, (4,)).double()
        change = self._drawn(unit)
        height, width = batch.frames.shape[-2:]
        source, inside = _sources(change, height, width)
        inside &= ~_square(change.erased, unit[:, 2:], height, width)
        flat = batch.frames.flatten(3)
        index = source.flatten(1)[:, None, None].expand(flat.shape)
        moved = flat.gather(3, index).view(batch.frames.shape)
        frames = torch.where(inside[:, None, None], moved, batch.background)
        return replace(batch, frames=frames)

    def _drawn(self, unit: Tensor) -> _Change:
        """Choose a way by the first number of each clip and its size by the second."""
        sizes = (1.0, self.shear, self.translate, self.translate, self.rotate, self.cut_out)
        ways = torch.tensor([i for i, size in enumerate(sizes) if size > 0], device=unit.device)
        way = ways[(unit[:, 0] * len(ways)).long()]
        signed = 2.0 * unit[:, 1] - 1.0
        share = 0.001 + (self.cut_out - 0.001) * unit[:, 1]

        def only(name: str, value: Tensor) -> Tensor:
            return torch.where(way == _CHANGES.index(name), value, 0.0)

        return _Change(
            only("shear", self.shear * signed),
            only("translate x", self.translate * signed),
            only("translate y", self.translate * signed),
            only("rotate", math.radians(self.rotate) * signed),
            only("cut out", share.clamp(max=self.cut_out)),
        )


def _sources(change: _Change, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the pixel (B, H, W) int64 each pixel comes from, and whether it is on the frame."""
    device = change.shear.device
    # From the centre: a rotation keeps the pixel there.
    x = torch.arange(width, dtype=torch.float64, device=device) - (width - 1) / 2
    y = torch.arange(height, dtype=torch.float64, device=device)[:, None] - (height - 1) / 2
    shear, right, down, angle = (
        part[:, None, None] for part in (change.shear, change.right, change.down, change.angle)
    )
    cos, sin = torch.cos(angle), torch.sin(angle)
    column = (cos * x + (shear + sin) * y - right + (width - 1) / 2).round().long()
    row = (cos * y - sin * x - down + (height - 1) / 2).round().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return row.clamp(0, height - 1) * width + column.clamp(0, width - 1), inside


def _square(share: Tensor, place: Tensor, height: int, width: int) -> Tensor:
    """Mark (B, H, W) a square of a share of the frame (B,), placed by two units (B, 2)."""
    side = (share * height * width).sqrt()
    high, wide = (side.round().clamp(max=end)[:, None, None] for end in (height, width))
    units = place[:, :, None, None]
    top = (units[:, 0] * (height - high + 1)).floor()
    left = (units[:, 1] * (width - wide + 1)).floor()
    rows = torch.arange(height, device=share.device)[:, None]
    columns = torch.arange(width, device=share.device)
    return (rows >= top) & (rows < top + high) & (columns >= left) & (columns < left + wide)

"""Morton order: the bits of x, y and z in turn (`z`), or of y, x and z (`z-trans`).

The order inside a cloud does not depend on the depth.

Source: Morton (1966); spec of the codes as in Point Transformer V3 (arXiv 2312.10035).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._bits import deinterleave, interleave
from pcmamba.ops.orders._registry import ORDERS, Curve, fused_number


class Z(Curve):
    """Morton order with the axes taken as `axes`, the most significant first."""

    def __init__(self, axes: tuple[int, int, int]) -> None:
        self.axes = axes
        self.fused = fused_number(2, axes)

    def encode(self, grid: Tensor, depth: int) -> Tensor:
        """Weave the bits of the three coordinates."""
        return interleave(*(grid[..., axis] for axis in self.axes))

    def decode(self, code: Tensor, depth: int) -> Tensor:
        """Take the woven bits apart."""
        named = deinterleave(code)
        return torch.stack([named[self.axes.index(axis)] for axis in range(3)], -1)


ORDERS.register("z")(Z((0, 1, 2)))
ORDERS.register("z-trans")(Z((1, 0, 2)))

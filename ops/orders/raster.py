"""Rows of cells one after the other, x fastest, then y, then z, all in the same direction."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._registry import ORDERS, Curve


class Raster(Curve):
    """Lexicographic by z, y, x."""

    fused = 24

    def encode(self, grid: Tensor, depth: int) -> Tensor:
        """Number the cells of the cube row by row."""
        x, y, z = grid.unbind(-1)
        return z << 2 * depth | y << depth | x

    def decode(self, code: Tensor, depth: int) -> Tensor:
        """Return the cells that have the numbers `code`."""
        low = (1 << depth) - 1
        return torch.stack([code & low, code >> depth & low, code >> 2 * depth], -1)


ORDERS.register("raster")(Raster())

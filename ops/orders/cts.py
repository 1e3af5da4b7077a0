"""Continuous snake traverse along the axes: the `cts-*` orders.

    k1   = c2 * W1      + (c1 if c2 is even else W1 - 1 - c1)
    code = c3 * W1 * W2 + (k1 if c3 is even else W1 * W2 - 1 - k1)

with c1, c2, c3 the coordinates on the named axes, fastest first, and W the widths of the grid.
Every second row, and every second sheet of rows, runs backwards.

Source: Zhang et al., Point Cloud Mamba (arXiv 2403.00762), section 3.2; our reading of its text and
figure, since the released code computes something else (`slab-*`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._registry import AXES, ORDERS, Cells, Curve, fused_number


class Cts(Curve):
    """Snake with `axes` from the fastest to the slowest; widths are those of the own cloud."""

    continuous = True

    def __init__(self, axes: tuple[int, int, int]) -> None:
        self.axes = axes
        self.fused = fused_number(0, axes)

    def key(self, cells: Cells) -> Tensor:
        """Number the cells of the cloud's own box, which need not be a cube."""
        return self._number(cells.grid, cells.extent + 1)

    def encode(self, grid: Tensor, depth: int) -> Tensor:
        """Number the cells of the cube."""
        return self._number(grid, grid.new_full((3,), 1 << depth))

    def decode(self, code: Tensor, depth: int) -> Tensor:
        """Return the cells that have the numbers `code`."""
        width = 1 << depth
        c3, sheet = code >> 2 * depth, code & (width * width - 1)
        sheet = _turn(sheet, width * width, c3)
        c2, row = sheet >> depth, sheet & (width - 1)
        named = (_turn(row, width, c2), c2, c3)
        return torch.stack([named[self.axes.index(axis)] for axis in range(3)], -1)

    def _number(self, grid: Tensor, widths: Tensor) -> Tensor:
        c1, c2, c3 = (grid[..., axis] for axis in self.axes)
        w1, w2 = (widths[..., axis] for axis in self.axes[:2])
        sheet = c2 * w1 + _turn(c1, w1, c2)
        return c3 * (w1 * w2) + _turn(sheet, w1 * w2, c3)


def _turn(position: Tensor, length: Tensor | int, slower: Tensor) -> Tensor:
    """Count from the far end where the slower coordinate is odd."""
    return torch.where(slower & 1 == 0, position, length - 1 - position)


for name, axes in AXES.items():
    ORDERS.register(f"cts-{name}")(Cts(axes))

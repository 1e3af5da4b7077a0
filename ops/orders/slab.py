"""Slabs across one axis: the `slab-*` orders, what the released PCM code computes.

    key = s * c[a1],   s = +1 if M2 and M3 have the same parity, else -1

with a1 the first axis of the name and M2, M3 the largest cells on the other two axes. Points of
one slab tie and keep their order, so `slab-xyz` and `slab-xzy` are the same, and so on.

Source: behaviour of SkyworkAI/PointCloudMamba under the names xyz ... zyx. There M2 and M3 are
those of the batch, so an order depends on batch-mates; `parity="batch"` gives that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._registry import AXES, ORDERS, Cells, Order, fused_number


class Slab(Order):
    """Sort along the first of `axes`, up or down by the parity of the other two extents."""

    def __init__(self, axes: tuple[int, int, int]) -> None:
        self.axes = axes
        self.fused = fused_number(1, axes)

    def key(self, cells: Cells) -> Tensor:
        """Count slabs from the near end, or from the far end of the own cloud."""
        first, second, third = self.axes
        slab, last = cells.grid[..., first], cells.extent[..., first]
        odd = (cells.scope_extent[..., second] ^ cells.scope_extent[..., third]) & 1
        return torch.where(odd == 0, slab, last - slab)


for name, axes in AXES.items():
    ORDERS.register(f"slab-{name}")(Slab(axes))

"""Orders of points, one file each; importing a file registers its names."""

from __future__ import annotations

from pcmamba.ops.orders import cts, hilbert, random, raster, slab, z
from pcmamba.ops.orders._registry import MAX_DEPTH, ORDERS, Cells, Curve, Order

__all__ = [
    "MAX_DEPTH",
    "ORDERS",
    "Cells",
    "Curve",
    "Order",
    "cts",
    "hilbert",
    "random",
    "raster",
    "slab",
    "z",
]

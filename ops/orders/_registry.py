"""What an order of points is, and the registry of them by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pcmamba.registry import Registry

MAX_DEPTH = 20
"""Most bits an axis of the grid may have: three axes fill 60 of the 63 bits of a code."""


@dataclass(frozen=True)
class Cells:
    """The cells of a batch of clouds, with what an order may read beside them.

    The leading axes "..." are (B, N), or (total,) for a ragged batch.

    Attributes:
        grid: (..., 3) int64; the smallest cell of each cloud is 0 on every axis.
        extent: Largest cell of the point's own cloud on each axis; broadcasts with `grid`.
        scope_extent: The same over what sets the slab direction and the Hilbert depth: the own
            cloud or the whole batch; broadcasts with `grid`.
        place: (...) int64, index of the point in its cloud; broadcasts.
        depth: Bits of an axis as the caller gave them, or None: taken from `scope_extent`.
        seed: The caller's seed, or None.
        impl: "reference" or "cpu", for orders that have compiled code.
    """

    grid: Tensor
    extent: Tensor
    scope_extent: Tensor
    place: Tensor
    depth: int | None = None
    seed: int | None = None
    impl: Literal["reference", "cpu"] = "reference"

    def bits(self) -> Tensor:
        """Count the bits of the largest coordinate in scope: int64, broadcasts with `place`."""
        largest = self.scope_extent.amax(-1, keepdim=True)
        powers = 1 << torch.arange(MAX_DEPTH, device=largest.device)
        return (largest >= powers).sum(-1)


class Order(ABC):
    """A rule that brings the points of a cloud into a sequence by a sort key.

    Attributes:
        continuous: Successive cells of a full grid are face neighbours.
        fused: Number by which the GPU kernels know the order; None if only torch computes it.
    """

    continuous: bool = False
    fused: int | None = None

    @abstractmethod
    def key(self, cells: Cells) -> Tensor:
        """Return the key (...) int64 >= 0; a stable sort by it inside each cloud is the order."""


class Curve(Order):
    """An order that numbers all cells of a cube of side 2**depth, and can be inverted."""

    @abstractmethod
    def encode(self, grid: Tensor, depth: int) -> Tensor:
        """Number the cells `grid` (..., 3) int64 of the cube: (...) int64 below 8**depth."""

    @abstractmethod
    def decode(self, code: Tensor, depth: int) -> Tensor:
        """Return the cells (..., 3) that have the numbers `code` (...)."""

    def key(self, cells: Cells) -> Tensor:
        """Number the cells in a cube that holds any grid, or in the one the caller gave."""
        return self.encode(cells.grid, cells.depth or MAX_DEPTH)


ORDERS: Registry[Order] = Registry("order")
"""Orders by name. `ORDERS.register("gray")(Gray())` adds one."""

AXES = {
    "".join("xyz"[axis] for axis in axes): axes
    for axes in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
}
"""The six orders of the axes: "yzx" is (1, 2, 0)."""


def fused_number(kind: int, axes: tuple[int, int, int]) -> int:
    """Return the number of an order in the GPU kernels: kind 0 cts, 1 slab, 2 z, 3 hilbert."""
    return 6 * kind + list(AXES.values()).index(axes)

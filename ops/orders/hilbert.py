"""Three-dimensional Hilbert curve by Skilling's transform; `hilbert-trans` swaps x and y first.

The order depends on the depth, in steps of three: a leading zero bit turns the axes once, and
three turns change nothing. By default the depth is the bit length of the cloud's largest cell.

Source: Skilling, Programming the Hilbert curve (2004).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._bits import deinterleave, interleave
from pcmamba.ops.orders._registry import MAX_DEPTH, ORDERS, Cells, Curve, fused_number


class Hilbert(Curve):
    """Hilbert curve with the axes taken as `axes`."""

    continuous = True

    def __init__(self, axes: tuple[int, int, int]) -> None:
        self.axes = axes
        self.fused = fused_number(3, axes)

    def key(self, cells: Cells) -> Tensor:
        """Number the cells at the depth given, else at that of each cloud (or of the batch)."""
        grid = cells.grid[..., list(self.axes)]
        depth = cells.depth
        if depth is None:
            bits = cells.bits()
            # Reading the largest depth would make a GPU wait; there all twenty bits are walked.
            depth = int(bits.amax()) if bits.device.type == "cpu" else MAX_DEPTH
            grid = _turn_axes(grid, depth - bits)
        return _encode_cpu(grid, depth) if cells.impl == "cpu" else _encode(grid, depth)

    def encode(self, grid: Tensor, depth: int) -> Tensor:
        """Number the cells along the curve of this depth."""
        return _encode(grid[..., list(self.axes)], depth)

    def decode(self, code: Tensor, depth: int) -> Tensor:
        """Return the cells at these places of the curve."""
        return _decode(code, depth)[..., [self.axes.index(axis) for axis in range(3)]]


def _turn_axes(grid: Tensor, steps: Tensor) -> Tensor:
    """Turn the axes so that `steps` leading zero bits turn them back.

    A curve of depth + steps then visits the cells of each cloud as one of its own depth does.
    """
    axes = (torch.arange(3, device=grid.device) + steps[..., None]) % 3
    return grid.gather(-1, axes.expand_as(grid))


def _encode(grid: Tensor, depth: int) -> Tensor:
    axes = [*grid.unbind(-1)]
    for bit in reversed(range(depth)):
        for axis in range(3):
            _exchange(axes, axis, bit)
    code = interleave(*axes)
    for shift in (1, 2, 4, 8, 16, 32):  # Gray code to binary: running xor from the top
        code = code ^ code >> shift
    return code


def _decode(code: Tensor, depth: int) -> Tensor:
    axes = deinterleave(code ^ code >> 1)
    for bit in range(depth):
        for axis in (2, 1, 0):
            _exchange(axes, axis, bit)
    return torch.stack(axes, -1)


def _exchange(axes: list[Tensor], axis: int, bit: int) -> None:
    """Invert the bits of axis 0 below `bit` where `axis` has that bit, else exchange the two.

    It undoes itself, since it changes only lower bits than the one it looks at.
    """
    low = (1 << bit) - 1
    invert = -(axes[axis] >> bit & 1) & low
    differ = (axes[0] ^ axes[axis]) & ~invert & low
    axes[axis] = axes[axis] ^ differ
    axes[0] = axes[0] ^ differ ^ invert


def _encode_cpu(grid: Tensor, depth: int) -> Tensor:
    from pcmamba.kernels.serialize_cpu import hilbert_encode

    return hilbert_encode(grid, depth)


ORDERS.register("hilbert")(Hilbert((0, 1, 2)))
ORDERS.register("hilbert-trans")(Hilbert((1, 0, 2)))

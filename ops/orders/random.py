"""A uniformly random order, the same for the same seed.

The key of a point is a hash of the seed and of the point's index in its cloud. So batch-mates
and devices change nothing, clouds of one size share one permutation for one seed, and, alone among
the orders, it follows the indices and not the cells. Vary the seed to vary the order.

Source: the hash is splitmix64 (Steele, Lea and Flood, 2014).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.ops.orders._registry import ORDERS, Cells, Order

_GOLDEN = 0x9E3779B97F4A7C15


class Random(Order):
    """Sort by a hash of (seed, index in the cloud)."""

    fused = 30

    def key(self, cells: Cells) -> Tensor:
        """Hash every index to 63 bits.

        Raises:
            ValueError: There is no seed.
        """
        if cells.seed is None:
            raise ValueError("seed must be an integer for the order 'random', got None")
        key = _mix((cells.place + 1) * _signed(_GOLDEN) + first_word(cells.seed))
        return (key & (1 << 63) - 1).expand(cells.grid.shape[:-1])


def first_word(seed: int) -> int:
    """Return what a seed adds to the words of all places."""
    return int(_mix(torch.tensor(seed) * _signed(_GOLDEN)))


def _mix(state: Tensor) -> Tensor:
    """Return the finalizer of splitmix64 on int64 words, whose products wrap around."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ _shift_right(state, shift)) * _signed(factor)
    return state ^ _shift_right(state, 31)


def _shift_right(word: Tensor, count: int) -> Tensor:
    """Shift in zeros from the top, where `>>` repeats the sign."""
    return word >> count & (1 << 64 - count) - 1


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


ORDERS.register("random")(Random())

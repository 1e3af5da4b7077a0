"""What the launchers of serialization are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MOST_SMALL = 4096  # points of a cloud that one program sorts
LAUNCH = 10  # orders a launch numbers: six bits each in one word
RANDOM = 30  # number of the order whose codes fill 63 bits


@dataclass(frozen=True)
class Job:
    """What to number.

    Attributes:
        xyz: (B, N, 3), or (total, 3) with offsets; contiguous.
        offsets: (B + 1,) int64 or None.
        orders: Numbers of the orders: six times the kind plus the axes.
        size: Edge of a cell; 0 where the depth divides the longest side.
        depth: Bits of an axis, or 0 where the cells decide.
        whole_batch: Take direction and Hilbert depth from the batch and not from each cloud.
        start: First word of the hash of the random order.
    """

    xyz: Tensor
    offsets: Tensor | None
    orders: tuple[int, ...]
    size: float
    depth: int
    whole_batch: bool
    start: int

    @property
    def clouds(self) -> int:
        """Number of clouds."""
        return self.xyz.shape[0] if self.offsets is None else len(self.offsets) - 1

    @property
    def total(self) -> int:
        """Number of points."""
        return self.xyz.numel() // 3

    @property
    def longest(self) -> int:
        """Most points that a cloud can have."""
        return self.xyz.shape[-2]


def code_bits(job: Job) -> int:
    """Return how many bits hold every code."""
    return 63 if RANDOM in job.orders else 3 * (job.depth or 20)


def launches(job: Job) -> list[tuple[int, int, int]]:
    """Return first order, number of orders and their word, for each launch."""
    found = []
    for first in range(0, len(job.orders), LAUNCH):
        part = job.orders[first : first + LAUNCH]
        found.append((first, len(part), sum(order << 6 * i for i, order in enumerate(part))))
    return found

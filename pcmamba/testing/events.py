"""Random events for tests and benchmarks."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def draw_events(
    number: int,
    resolution_hw: tuple[int, int],
    *,
    offsets: Tensor | None = None,
    microseconds: int = 1_000_000,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw x, y (int16), t (int64) and p (uint8) of recordings that began long ago.

    Times are sorted within each recording; with few microseconds many events share one.
    """
    draw = torch.Generator(device).manual_seed(seed)

    def uniform(most: int) -> Tensor:
        return torch.randint(most, (number,), generator=draw, device=device)

    height, width = resolution_hw
    x, y, t, p = (uniform(most) for most in (width, height, microseconds, 2))
    bounds = [0, number] if offsets is None else offsets.tolist()
    parts = [t[begin:end].sort().values for begin, end in itertools.pairwise(bounds)]
    return x.to(torch.int16), y.to(torch.int16), torch.cat(parts) + (1 << 40), p.to(torch.uint8)

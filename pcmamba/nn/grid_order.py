"""Orders of the cells of a grid over columns, rows and frames."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from pcmamba.ops import serialize

FRAME = "frame-"


@functools.lru_cache(maxsize=64)
def grid_order(order: str, frames: int, height: int, width: int) -> Tensor | None:
    """Return the cells of a grid in the sequence of an order.

    Args:
        order: An order of `serialize` over integer (x, y, t), or "frame-" before one: then the
            cells of each frame follow it over (x, y), frame after frame.
        frames: T.
        height: Rows of a frame.
        width: Columns of a frame.

    Returns:
        (T height width,) int64 on the CPU, the cell at each place with cells counted frame by
        frame, row by row; None where that is the sequence itself. Shared between calls: not to be
        written to.

    Raises:
        ValueError: The order is unknown.
    """
    inside = order.startswith(FRAME)
    steps = 1 if inside else frames
    # Explicitly on the CPU: a model may be made under another default device.
    axes = (torch.arange(n, device="cpu") for n in (steps, height, width))
    t, y, x = torch.meshgrid(*axes, indexing="ij")
    cells = torch.stack([x, y, t], dim=-1).reshape(-1, 3)
    perm = serialize(cells[None], order.removeprefix(FRAME), seed=0).perm[0]
    if inside:
        starts = torch.arange(frames, device="cpu")[:, None] * (height * width)
        perm = (starts + perm).flatten()
    return None if torch.equal(perm, torch.arange(len(perm), device="cpu")) else perm


def is_frame_major(perm: Tensor | None, frames: int) -> bool:
    """Tell whether a sequence over `frames` frames visits one after the other."""
    if perm is None:
        return True
    tokens = len(perm) // frames
    visited = perm.view(frames, tokens) // tokens
    return bool((visited == torch.arange(frames, device="cpu")[:, None]).all())

"""Rotary positions on a map: pairs of channels turned by the token's row or column."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10000.0


def rotary_table(height: int, width: int, channels: int) -> Tensor:
    """Return the turns (height width, C / 2, 2) that `rotate` takes: cosine and sine of each pair.

    Channels (2j, 2j + 1) are a pair. The first C/4 pairs turn by row * 10000^(-j / (C/4)), the
    others by the column alike.

    Args:
        height: Rows.
        width: Columns.
        channels: C, a multiple of 4.

    Raises:
        ValueError: C is no multiple of 4.

    Source: Su et al., RoFormer (2021); rows and columns by halves as in vision transformers.
    """
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4 for rotary positions, got {channels}")
    half = channels // 4
    rates = BASE ** (-torch.arange(half, dtype=torch.float64) / half)
    rows, columns = (torch.arange(n, dtype=torch.float64)[:, None] * rates for n in (height, width))
    rows = rows[:, None].expand(height, width, half)
    angles = torch.cat([rows, columns[None].expand(height, width, half)], dim=-1)
    angles = angles.reshape(height * width, 2 * half)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).float()


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair (a, b) of x (..., N, C) to (a cos - b sin, a sin + b cos), as complex numbers.

    Works in float32 and float64, which `table` must share with x.
    """
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.view_as_complex(table)).flatten(-2)

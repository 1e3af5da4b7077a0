"""Rows of a batch of sequences taken by index."""

from __future__ import annotations

from torch import Tensor

from pcmamba.ops import group


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Take rows of each sequence: (B, N, C) and (B, M) give (B, M, C).

    Differentiable in `x`; the gradient adds up in a fixed order where a row is taken twice.
    """
    return group(x, rows[..., None]).squeeze(2)

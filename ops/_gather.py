"""What the ops on neighbour tables share: the index check and the gather in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def check_index_type(idx: Tensor, name: str = "idx") -> None:
    """Refuse a table of indices that is not int64.

    Raises:
        TypeError: `idx` has another dtype.
    """
    if idx.dtype != torch.int64:
        raise TypeError(f"{name} must be int64, got {idx.dtype}; convert it with {name}.long()")


def check_index_range(idx: Tensor, num_points: int, *, padding: bool, name: str = "idx") -> None:
    """Refuse indices outside the cloud. Reads the values only on the CPU.

    Raises:
        ValueError: An index is >= `num_points`, or negative other than padding.
    """
    if idx.device.type != "cpu" or idx.numel() == 0:
        return
    lowest, highest = (int(value) for value in idx.aminmax())
    least = -1 if padding else 0
    if lowest < least or highest >= num_points:
        meaning = "-1 is padding" if padding else "padding is not allowed here"
        raise ValueError(
            f"{name} must lie in [{least}, {num_points - 1}] ({meaning}), got {lowest} to {highest}"
        )


def gather_rows(feat: Tensor, idx: Tensor) -> Tensor:
    """Return feat[idx] (B, M, K, C) by torch, zeros where `idx` is negative.

    Args:
        feat: (B, N, C).
        idx: (B, M, K) int64.
    """
    clouds, num_points, channels = feat.shape
    padded = torch.cat([feat, feat.new_zeros(clouds, 1, channels)], dim=1)
    rows = torch.where(idx < 0, num_points, idx).flatten(1)[..., None].expand(-1, -1, channels)
    return padded.gather(1, rows).view(*idx.shape, channels)

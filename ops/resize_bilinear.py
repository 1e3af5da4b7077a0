"""Bilinear resize with the same bits on every device."""

from __future__ import annotations

import torch
from torch import Tensor


def resize_bilinear(images: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize images as `interpolate(mode="bilinear", align_corners=False)` does, without antialias.

    Each step rounds on its own, first rows, then columns, so that CPU and GPU give equal bits and
    an image's result never depends on the others.

    Args:
        images: (..., H, W) floating point.
        size_hw: New H and W.

    Returns:
        (..., h, w) in the dtype of `images`, which come back as they are where they have that size.

    Raises:
        TypeError: `images` are not floating point.
        ValueError: A side is below 1.
    """
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point, got {images.dtype}")
    if images.dim() < 2 or min(*size_hw, *images.shape[-2:]) < 1:
        raise ValueError(
            f"images and size_hw must have two positive sides, got {tuple(images.shape)}, {size_hw}"
        )
    if images.shape[-2:] == tuple(size_hw):
        return images
    upper, lower, share = bilinear_taps(images.shape[-2], size_hw[0], images.device)
    top = images.index_select(-2, upper)
    rows = top + (images.index_select(-2, lower) - top) * share[:, None].to(images.dtype)
    upper, lower, share = bilinear_taps(images.shape[-1], size_hw[1], images.device)
    left = rows.index_select(-1, upper)
    return left + (rows.index_select(-1, lower) - left) * share.to(images.dtype)


def bilinear_taps(
    old: int, new: int, device: torch.device | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two sources (new,) int64 of each place and the share (new,) float32 of the second.

    Pixels are areas: place i lies at (i + 1/2) old / new - 1/2, not before the first pixel.
    """
    place = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    place = place.clamp(0, old - 1)
    first = place.long()
    second = (first + 1).clamp(max=old - 1)
    share = (place - first).float()
    return first.to(device), second.to(device), share.to(device)

"""Rows of channels in vectors of sixteen: layout, and sums in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.nn import functional as F

from pcmamba.kernels._common import Array
from pcmamba.kernels._lanes import LANES, load, splat, store


def pad_channels(channels: int) -> int:
    """Round up to whole vectors."""
    return (channels + LANES - 1) // LANES * LANES


def flat_rows(tensor: Tensor, padded: int | None = None) -> tuple[Array, int]:
    """Return rows of unit stride as one flat float32 array and the distance of two rows.

    Copies only another dtype or a width that must be padded.
    """
    wide = tensor.detach().float()
    if padded is not None and padded != wide.shape[1]:
        wide = F.pad(wide, (0, padded - wide.shape[1]))
    rows, columns = wide.shape
    stride = wide.stride(0)
    extent = (rows - 1) * stride + columns if wide.numel() else 0
    return wide.as_strided((extent,), (1,)).numpy(), stride


def state_major(tensor: Tensor, padded: int) -> Tensor:
    """Copy (..., D, S) to float32 (..., S, padded D), zeros in the padding."""
    *lead, channels, states = tensor.shape
    out = tensor.new_zeros(*lead, states, padded, dtype=torch.float32)
    out[..., :channels] = tensor.detach().transpose(-1, -2)
    return out


def channel_major(tensor: Tensor, channels: int) -> Tensor:
    """Undo `state_major`, as a copy."""
    return tensor[..., :channels].transpose(-1, -2).clone(memory_format=torch.contiguous_format)


def add_parts(parts: Tensor) -> Tensor:
    """Sum over the first axis, folding halves in place: the same for any number of threads."""
    if len(parts) == 0:
        return parts.new_zeros(parts.shape[1:])
    while len(parts) > 1:
        half = len(parts) // 2
        parts[:half] += parts[-half:]
        parts = parts[: len(parts) - half]
    return parts[0]


@njit(error_model="numpy")
def clear(values: Array) -> None:
    """Fill whole vectors with 0."""
    for i in range(0, len(values), LANES):
        store(values, i, splat(np.float32(0)))


@njit(error_model="numpy")
def add_to(values: Array, at: int, more: Any) -> None:
    """Add sixteen numbers to values[at : at + 16]."""
    store(values, at, load(values, at) + more)

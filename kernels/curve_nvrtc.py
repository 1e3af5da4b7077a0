"""Points of ragged clouds in the order of a curve, for kernels that search them box by box."""

from __future__ import annotations

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc

THREADS = 256
MOST_BITS = 10
MOST_BLOCKS = 1024
KEY_BITS = 31
LARGEST = 2**31 - 1


def curve_order(xyz: Tensor, offsets: Tensor) -> Tensor:
    """Sort the rows of each cloud along a Morton curve, without waiting for the device.

    Args:
        xyz: (T, 3) float32, contiguous.
        offsets: (B + 1,) int64 bounds of the clouds, from 0 to T.

    Returns:
        (T,) int32 rows of `xyz`; those of a cloud stay between its bounds.

    Raises:
        ValueError: More than 2^28 clouds.
    """
    rows, clouds = len(xyz), len(offsets) - 1
    bits = min(MOST_BITS, (KEY_BITS - (clouds - 1).bit_length()) // 3)
    if bits < 1:
        raise ValueError(f"offsets must have at most 2^28 clouds, got {clouds}; split the batch")
    bounds = torch.empty(clouds, 2, 3, dtype=torch.int32, device=xyz.device)
    bounds[:, 0], bounds[:, 1] = LARGEST, -LARGEST - 1
    keys = torch.empty(rows, dtype=torch.int32, device=xyz.device)
    index = xyz.device.index
    blocks = -(-rows // THREADS)
    measure = _nvrtc.load("curve", "cloud_bounds", "PPPiq", (), index)
    measure((min(blocks, MOST_BLOCKS), 1, 1), THREADS, xyz, offsets, bounds, clouds, rows)
    encode = _nvrtc.load("curve", "curve_keys", "PPPPiqi", (), index)
    encode((blocks, 1, 1), THREADS, xyz, offsets, bounds, keys, clouds, rows, bits)
    return keys.sort(stable=True).indices.int()

"""From clouds of any size to one array: which points are kept, and what a cloud is known by."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.report import cloud_keys


def choose_points(size: int, want: int, seed: int, name: str) -> np.ndarray:
    """Return which `want` of `size` points are kept; the draw depends on the seed and the name.

    Of more, a subset is drawn; of fewer, all are kept and some drawn again; just that many stay in
    their order.
    """
    if size == want:
        return np.arange(size)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if size > want:
        return rng.choice(size, want, replace=False)
    return np.concatenate([np.arange(size), rng.integers(0, size, want - size)])


def stack_keys(clouds: Sequence[np.ndarray]) -> Tensor:
    """Return the key of each whole cloud (N, 3) float32, as int64."""
    keys = [cloud_keys(torch.from_numpy(np.array(xyz))[None])[0] for xyz in clouds]
    return torch.from_numpy(np.array(keys, np.uint64).view(np.int64))

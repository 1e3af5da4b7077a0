"""Sums over the parts that blocks of a CUDA kernel leave, in a fixed order."""

from __future__ import annotations

import itertools

from torch import Tensor

from pcmamba.kernels import _nvrtc


def sum_parts(partial: Tensor, outputs: list[list[Tensor]]) -> None:
    """Add over the parts.

    Args:
        partial: (branches, parts, columns) float32; one or two branches.
        outputs: For each branch one to three float32 tensors that share the columns in their order.
    """
    branches, parts, columns = partial.shape
    ends = list(itertools.accumulate(t.numel() for t in outputs[0]))
    ends = (ends + [columns] * 3)[:2]
    given = [(tensors + [tensors[-1]] * 3)[:3] for tensors in (outputs[0], outputs[-1])]
    kernel = _nvrtc.load("sum_parts", "sum_parts", "P" * 7 + "q" * 4, (), partial.device.index)
    grid = (-(-columns // 32), branches, 1)
    kernel(grid, 256, partial, *given[0], *given[1], parts, *ends, columns)

"""CUDA C++ kernels around a pair of scans: convolutions that read their input once, and the gate.

Both branches convolve and scan in one launch each. Where the second is crossed it reads the gate
and is gated by the input. Rows of every tensor are in the caller's order; `perm` is met on the way.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc
from pcmamba.kernels._scan_branch_nvrtc import (
    TYPES,
    Branch,
    Gradients,
    as_float,
    checkpoint_shape,
    make_branch,
)
from pcmamba.kernels.selective_scan_bwd_nvrtc import scan_bwd
from pcmamba.kernels.selective_scan_fwd_nvrtc import scan_fwd
from pcmamba.kernels.sum_parts_nvrtc import sum_parts

__all__ = ["checkpoint_shape", "conv_bwd", "conv_fwd", "core_bwd", "core_fwd", "make_branch"]

PART = 128  # steps of a block, PART in _conv.cuh
PACKS = 16


class Taps(NamedTuple):
    """Convolution of one branch: weight (D, W), bias (D,) or None, both float32 and contiguous."""

    weight: Tensor
    bias: Tensor | None
    reverse: bool


def make_taps(weight: Tensor, bias: Tensor | None, reverse: bool) -> Taps:
    """Return the taps in float32."""
    wide = as_float(weight)
    assert wide is not None
    return Taps(wide, as_float(bias), reverse)


def conv_fwd(x: Tensor, taps: list[Taps], perm: Tensor | None, offsets: Tensor) -> list[Tensor]:
    """Convolve x (T, D) by one or two branches with SiLU; return their results in its dtype."""
    rows, width = x.shape
    u = [torch.empty(rows, width, dtype=x.dtype, device=x.device) for _ in taps]
    if not x.numel():
        return u
    first, last = taps[0], taps[-1]
    kernel = _conv_kernel("bidirectional_conv_fwd", "P" * 9 + "qqq", [x], taps, perm)
    values = (x, *first[:2], u[0], *last[:2], u[-1], perm, offsets)
    kernel(_conv_grid(x, offsets, taps, [x]), 256, *values, len(offsets) - 1, width, x.stride(0))
    return u


def conv_bwd(
    grads: list[Tensor],
    x: Tensor,
    taps: list[Taps],
    perm: Tensor | None,
    offsets: Tensor,
) -> tuple[Tensor, list[list[Tensor]]]:
    """Return the gradient of x (T, D) and for each branch those of taps and bias in float32.

    Args:
        grads: Gradient of each result, (T, D).
        x: As in the forward pass, like `taps`, `perm` and `offsets`.
        taps: The branches.
        perm: Permutation or None.
        offsets: (sequences + 1,) int64.
    """
    rows, width = x.shape
    first, last, size = taps[0], taps[-1], taps[0].weight.shape[1] + 1
    dx = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    parts = rows // PART + len(offsets) - 1
    partial = first.weight.new_empty(len(taps), parts, size * width)
    dtaps = [[torch.empty_like(t.weight), t.weight.new_empty(width)] for t in taps]
    if x.numel():
        read = [x, *grads]
        kernel = _conv_kernel("bidirectional_conv_bwd", "P" * 12 + "q" * 5, read, taps, perm)
        values: tuple[Any, ...] = (x, *first[:2], grads[0], *last[:2], grads[-1], dx)
        values += (partial[0], partial[-1], perm, offsets, len(offsets) - 1, width, x.stride(0))
        grid = _conv_grid(x, offsets, taps, read)
        kernel(grid, 256, *values, grads[0].stride(0), grads[-1].stride(0))
        sum_parts(partial, dtaps)
    else:
        for grad in itertools.chain.from_iterable(dtaps):
            grad.zero_()
    return dx, dtaps


def _conv_kernel(
    name: str, signature: str, read: list[Tensor], taps: list[Taps], perm: Tensor | None
) -> _nvrtc.Kernel:
    macros = (
        ("X_TYPE", TYPES[read[0].dtype]),
        ("VECTOR", _vector(read)),
        ("TAPS", taps[0].weight.shape[1]),
        ("BRANCHES", len(taps)),
        ("PERM", int(perm is not None)),
        ("REVERSE", int(taps[0].reverse)),
        ("REVERSE_SECOND", int(taps[-1].reverse)),
    )
    return _nvrtc.load(name, name, signature, macros, read[0].device.index)


def _conv_grid(
    x: Tensor, offsets: Tensor, taps: list[Taps], read: list[Tensor]
) -> tuple[int, int, int]:
    parts = x.shape[0] // PART + len(offsets) - 1
    return parts * -(-x.shape[1] // (PACKS * _vector(read))), 1, 1


def _vector(read: list[Tensor], widest: int = 2) -> int:
    """Return how many elements of a row are read at once."""
    vector = widest
    while vector > 1 and not all(
        t.shape[1] % vector == t.stride(0) % vector == 0
        and t.data_ptr() % (vector * t.element_size()) == 0
        for t in read
    ):
        vector //= 2
    return vector


def core_fwd(
    branches: list[Branch], perm: Tensor | None, offsets: Tensor, keep: bool
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Scan two branches, and add and gate the results.

    Args:
        branches: The scans with their gates, the same one for both or each its own.
        perm: (T,) int64 or None.
        offsets: (sequences + 1,) int64.
        keep: Keep the states for the backward pass.

    Returns:
        The gated sum (T, D), both results before the gate and the states kept.
    """
    plain = [branch._replace(gate=None) for branch in branches]
    y, _, states = scan_fwd(plain, perm, offsets, True, keep)
    out = torch.empty_like(y[0])
    first, second = branches[0].gate, branches[1].gate
    if out.numel():
        read = [*y, *(t for t in (first, second) if t is not None)]
        macros = (
            ("Y_TYPE", TYPES[out.dtype]),
            ("Z_TYPE", "float" if first is None else TYPES[first.dtype]),
            ("VECTOR", _vector(read, 4)),
        )
        kernel = _nvrtc.load(
            "bidirectional_gate", "bidirectional_gate", "PPPPPqqqq", macros, out.device.index
        )
        values = (*y, first, second if second is not first else None, out, *out.shape)
        strides = (0 if t is None else t.stride(0) for t in (first, second))
        blocks = -(-out.numel() // (256 * _vector(read, 4)))
        kernel((blocks, 1, 1), 256, *values, *strides)
    return out, y, states


def core_bwd(
    grad: Tensor,
    branches: list[Branch],
    y: list[Tensor],
    states: Tensor,
    perm: Tensor | None,
    offsets: Tensor,
) -> list[Gradients]:
    """Return the gradients of both branches; the first's of the gate where they share one."""
    given: list[tuple[Tensor | None, Tensor | None]] = [(y[0], y[1]), (None, None)]
    if branches[0].gate is not branches[1].gate:
        given = [(y[0], None), (y[1], None)]
    if branches[0].gate is None:
        given = [(None, None)] * 2
    return scan_bwd(branches, [grad, grad], [None, None], states, perm, offsets, True, given)

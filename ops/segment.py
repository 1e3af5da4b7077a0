"""Reduce the rows of each segment of a ragged batch.

    out[b] = reduce(values[offsets[b] : offsets[b + 1]])

Every segment is summed by one worker in rising order, so a result has the same bits in every run.
"""

from __future__ import annotations

import importlib
from typing import Literal, get_args

import torch
from torch import Tensor

from pcmamba.ops._check import check_offsets
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.registry import unknown_name

Reduction = Literal["sum", "mean", "max", "min"]


def segment_reduce(
    values: Tensor, offsets: Tensor, reduce: Reduction = "sum", *, impl: Impl = "auto"
) -> Tensor:
    """Reduce the rows of each segment to one.

    Differentiable once. Rows that share the largest (or smallest) value share its gradient
    evenly, as in `torch.amax`; torch_scatter gives it to one of them. fp16 and bf16 are
    accumulated in fp32.

    Args:
        values: (total, ...) floating point rows; the rows of a segment lie one after the other.
        offsets: (B + 1,) int64, segment b is rows `offsets[b]` to `offsets[b + 1]`; starts at 0,
            ends at total. Its values are checked on the CPU only, and not in a compiled graph.
        reduce: "sum", "mean", "max" or "min".
        impl: "reference" (plain torch, which "auto" takes) or "torch_scatter" (the package's
            `segment_csr`). A named choice never falls back.

    Returns:
        (B, ...) in the dtype of `values`. An empty segment gives 0 in every reduction.

    Raises:
        ValueError: Shapes or offsets do not fit, or `reduce` or `impl` is unknown.
        TypeError: `values` is not floating point.
        ImportError: `impl="torch_scatter"` without the package.
    """
    if reduce not in get_args(Reduction):
        raise ValueError(unknown_name("reduce", reduce, get_args(Reduction)))
    if values.dim() < 1:
        raise ValueError("values must be (total, ...), got a scalar")
    if not values.is_floating_point():
        raise TypeError(f"values must be floating point, got {values.dtype}; use values.float()")
    if not torch.compiler.is_compiling():
        check_offsets(offsets, len(values))
    chosen = resolve_impl(impl, values, ("torch_scatter",))
    run = _torch_scatter if chosen == "torch_scatter" else segment_reduce_reference
    wide = values if values.dtype == torch.float64 else values.float()
    return run(wide, offsets, reduce).to(values.dtype)


def segment_reduce_reference(values: Tensor, offsets: Tensor, reduce: Reduction) -> Tensor:
    """Reduce with plain torch; the meaning of `segment_reduce`."""
    counts = offsets.diff()
    if values.numel() == 0:
        return values.new_zeros(len(counts), *values.shape[1:]) + values.sum()
    rows = values.reshape(len(values), -1).contiguous()
    # Without `unsafe` the offsets are read and checked once more, for which a GPU has to wait.
    kind = "sum" if reduce == "mean" else reduce
    out = torch.segment_reduce(rows, kind, offsets=offsets, axis=0, unsafe=True)
    if reduce == "mean":
        out = out / counts.clamp(min=1)[:, None]
    out = torch.where((counts > 0)[:, None], out, 0.0)
    return out.reshape(len(counts), *values.shape[1:])


def _torch_scatter(values: Tensor, offsets: Tensor, reduce: Reduction) -> Tensor:
    try:
        package = importlib.import_module("torch_scatter")
    except ImportError as error:
        raise ImportError(
            "torch_scatter must be installed for impl='torch_scatter': make scatter, "
            "or ask for impl='reference'"
        ) from error
    out: Tensor = package.segment_csr(values, offsets, reduce=reduce)
    return out

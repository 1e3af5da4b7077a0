"""Distinct rows of each sequence: out[b, m] = x[b, rows[b, m]].

No row is taken twice, so the backward pass puts each gradient in its place and adds nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._gather import check_index_range, check_index_type
from pcmamba.ops._impl import Impl, resolve_impl
from pcmamba.ops._once import refuse_double_backward


def permute_rows(x: Tensor, rows: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Take distinct rows of each sequence: a permutation, or a part of one.

    Args:
        x: (B, N, C) of any dtype; differentiable if it is floating point.
        rows: (B, M) int64, each row of a sequence at most once. On a GPU this is not checked,
            since the host would have to wait: rows out of range read as zeros there, and of a row
            taken twice one gradient is lost.
        impl: "reference", "cpu", "triton" or "auto". A named choice never falls back.

    Returns:
        (B, M, C) in the dtype of `x`.

    Raises:
        ValueError: Shapes disagree, or (CPU) a row is out of range or taken twice.
        TypeError: `rows` is not int64.
        NotImplementedError: The result is differentiated twice, other than by "reference".
    """
    check_shapes(x=(x, "B N C"), rows=(rows, "B M"))
    check_index_type(rows, "rows")
    chosen = resolve_impl(impl, x, ("cpu", "triton"))
    if chosen == "reference":
        if not torch.compiler.is_compiling():
            _check_rows(rows, x.shape[1])
        return permute_rows_reference(x, rows)
    return permute_rows_fwd(x, rows, chosen)


def permute_rows_reference(x: Tensor, rows: Tensor) -> Tensor:
    """Compute `permute_rows` by torch.gather, in any dtype."""
    return x.gather(1, rows[..., None].expand(-1, -1, x.shape[2]))


def _check_rows(rows: Tensor, count: int) -> None:
    check_index_range(rows, count, padding=False, name="rows")
    if rows.device.type != "cpu" or rows.numel() == 0:
        return
    taken = torch.zeros(len(rows), count, dtype=torch.bool).scatter_(1, rows, True).sum()
    if int(taken) != rows.numel():
        repeated = rows.numel() - int(taken)
        raise ValueError(f"rows must be distinct in each sequence, got {repeated} repeated")


@torch.library.custom_op("pcmamba::permute_rows_fwd", mutates_args=())
def permute_rows_fwd(x: Tensor, rows: Tensor, impl: str) -> Tensor:
    """Launch the forward pass of `permute_rows`."""
    _check_rows(rows, x.shape[1])
    return _launchers(impl).permute_rows_fwd(x, rows)


@torch.library.custom_op("pcmamba::permute_rows_bwd", mutates_args=())
def permute_rows_bwd(grad: Tensor, rows: Tensor, count: int, impl: str) -> Tensor:
    """Launch the backward pass: (B, count, C) with the gradients in their rows, else zeros."""
    return _launchers(impl).permute_rows_bwd(grad, rows, count)


@permute_rows_fwd.register_fake
def _(x: Tensor, rows: Tensor, impl: str) -> Tensor:
    return x.new_empty(*rows.shape, x.shape[2])


@permute_rows_bwd.register_fake
def _(grad: Tensor, rows: Tensor, count: int, impl: str) -> Tensor:
    return grad.new_empty(grad.shape[0], count, grad.shape[2])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, rows, ctx.impl = inputs
    ctx.count = x.shape[1]
    ctx.save_for_backward(rows)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return permute_rows_bwd(grad, *ctx.saved_tensors, ctx.count, ctx.impl), None, None


permute_rows_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(permute_rows_bwd, "permute_rows")


def _launchers(impl: str) -> Any:
    if impl == "cpu":
        from pcmamba.kernels import permute_rows_cpu

        return permute_rows_cpu
    from pcmamba.kernels import permute_rows_triton

    return permute_rows_triton

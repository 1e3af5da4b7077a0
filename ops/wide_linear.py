"""A linear map of rows in half precision whose result keeps all digits: y = x w^T in float32.

The products of 16-bit factors are exact in float32, in which they are added anyway; an ordinary
product in half precision only rounds the sums away at its end. Differences of nearly equal rows of
the result need those digits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcmamba.ops._check import check_shapes
from pcmamba.ops._once import refuse_double_backward


def wide_linear(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply rows by a matrix, with a result in float32.

    The weight is rounded to the dtype of `x` first, as autocast does, and so is the gradient of
    the result in the backward pass. On a GPU the product is the vendor library's, elsewhere it is
    made in float32.

    Args:
        x: (R, C) float16 or bfloat16; differentiable.
        weight: (D, C) of any floating dtype; differentiable.

    Returns:
        (R, D) float32.

    Raises:
        ValueError: Shapes disagree.
        TypeError: `x` is not float16 or bfloat16.
        NotImplementedError: The result is differentiated twice.
    """
    check_shapes(x=(x, "R C"), weight=(weight, "D C"))
    if x.dtype not in (torch.float16, torch.bfloat16):
        raise TypeError(
            f"x must be float16 or bfloat16, got {x.dtype}; F.linear takes it without loss"
        )
    return wide_linear_fwd(x, weight)


def wide_linear_reference(x: Tensor, weight: Tensor) -> Tensor:
    """Compute `wide_linear` in float64."""
    return (x.double() @ weight.to(x.dtype).double().t()).float()


@torch.library.custom_op("pcmamba::wide_linear_fwd", mutates_args=())
def wide_linear_fwd(x: Tensor, weight: Tensor) -> Tensor:
    """Compute the product (R, D) float32."""
    return _product(x, weight.to(x.dtype).t())


@torch.library.custom_op("pcmamba::wide_linear_bwd", mutates_args=())
def wide_linear_bwd(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradients of x (R, C) and weight (D, C), each in its own dtype."""
    rounded = grad.to(x.dtype)
    dx = _product(rounded, weight.to(x.dtype))
    return dx.to(x.dtype), _product(rounded.t(), x).to(weight.dtype)


def _product(a: Tensor, b: Tensor) -> Tensor:
    # torch 2.6 and 2.7 have no such product.
    if a.device.type == "cuda" and hasattr(torch.ops.aten.mm, "dtype"):
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


@wide_linear_fwd.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(len(x), len(weight), dtype=torch.float32)


@wide_linear_bwd.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    return wide_linear_bwd(grad, *ctx.saved_tensors)


wide_linear_fwd.register_autograd(_backward, setup_context=_save)
refuse_double_backward(wide_linear_bwd, "wide_linear")

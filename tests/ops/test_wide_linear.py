"""Products of half precision with a float32 result: hand case, precision, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops import wide_linear
from pcmamba.ops.wide_linear import wide_linear_bwd, wide_linear_fwd, wide_linear_reference

DTYPES = [torch.bfloat16, torch.float16]


def inputs(rows: int, inner: int, outer: int, dtype: torch.dtype) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inner, generator=draw).to(dtype).requires_grad_()
    weight = torch.randn(outer, inner, generator=draw).requires_grad_()
    return [x, weight, torch.randn(rows, outer, generator=draw)]


def check(case: list[Tensor]) -> None:
    x, weight, grad = case
    y = wide_linear(x, weight)
    assert y.dtype == torch.float32
    truth = wide_linear_reference(x.detach(), weight.detach())
    assert (y - truth).norm() <= 4 * 2**-23 * truth.norm() * max(x.shape[1], 1) ** 0.5
    dx, dweight = torch.autograd.grad(y, (x, weight), grad)
    wide = [t.detach().to(x.dtype).double().requires_grad_() for t in (x, weight)]
    exact = torch.autograd.grad(wide[0] @ wide[1].t(), wide, grad.to(x.dtype).double())
    assert dx.dtype == x.dtype and dweight.dtype == weight.dtype
    for found, wanted, eps in zip((dx, dweight), exact, (2**-7, 2**-17), strict=True):
        assert (found.double() - wanted).norm() <= eps * wanted.norm()


def test_by_hand() -> None:
    x = torch.tensor([[256.0, 1.0]], dtype=torch.bfloat16)
    y = wide_linear(x, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert y.tolist() == [[257.0, 256.0]], "257 is no bfloat16"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(0, 3, 2), (1, 1, 1), (63, 17, 5)])
def test_values_and_gradients(sizes: tuple[int, int, int], dtype: torch.dtype) -> None:
    check(inputs(*sizes, dtype))


def test_autocast_changes_nothing() -> None:
    x, weight, _ = inputs(5, 4, 3, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(wide_linear(x, weight), wide_linear(x, weight.bfloat16()))


def test_registration_and_compilation() -> None:
    x, weight, grad = inputs(5, 4, 3, torch.bfloat16)
    torch.library.opcheck(wide_linear_fwd, (x, weight))
    torch.library.opcheck(wide_linear_bwd, (grad, x.detach(), weight.detach()))
    compiled = torch.compile(wide_linear, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, weight), wide_linear(x, weight))


def test_errors() -> None:
    x, weight, _ = inputs(5, 4, 3, torch.bfloat16)
    with pytest.raises(ValueError, match=r"weight must be \(D, C\) with C = 4 from x"):
        wide_linear(x, weight[:, :3])
    with pytest.raises(TypeError, match=r"x must be float16 or bfloat16, got torch\.float32"):
        wide_linear(x.float(), weight)
    (slope,) = torch.autograd.grad(wide_linear(x, weight).square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="wide_linear must be differentiated once"):
        slope.sum().backward()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(63, 17, 5), (4096, 384, 192)])
def test_on_the_gpu(sizes: tuple[int, int, int], dtype: torch.dtype) -> None:
    case = [t.detach().cuda().requires_grad_(t.requires_grad) for t in inputs(*sizes, dtype)]
    check(case)

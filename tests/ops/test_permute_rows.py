"""Rows in another order: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops import permute_rows
from pcmamba.ops._impl import interpreting
from pcmamba.ops.permute_rows import permute_rows_bwd, permute_rows_fwd

IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]


def inputs(
    clouds: int, count: int, taken: int, channels: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(clouds, count, channels, generator=draw).to(dtype).requires_grad_()
    rows = torch.rand(clouds, count, generator=draw).argsort(1)[:, :taken]
    return x, rows, torch.randn(clouds, taken, channels, generator=draw).to(dtype)


def run(x: Tensor, rows: Tensor, grad: Tensor, impl: str) -> list[Tensor]:
    out = permute_rows(x, rows, impl=impl)
    return [out.detach(), *torch.autograd.grad(out, x, grad)]


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_by_hand(impl: str) -> None:
    x = torch.tensor([[[1.0], [2.0], [3.0]]], requires_grad=True)
    out = permute_rows(x, torch.tensor([[2, 0]]), impl=impl)
    assert out.flatten().tolist() == [3.0, 1.0]
    out.backward(torch.tensor([[[5.0], [7.0]]]))
    assert x.grad.flatten().tolist() == [7.0, 0.0, 5.0]


def test_reference_gradcheck() -> None:
    x, rows, _ = inputs(2, 4, 3, 2, torch.float64)
    assert torch.autograd.gradcheck(lambda x: permute_rows(x, rows), (x,))
    assert torch.autograd.gradgradcheck(lambda x: permute_rows(x, rows), (x,))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (2, 9, 9, 5), (3, 9, 4, 130), (0, 3, 2, 4), (2, 3, 0, 4), (2, 3, 2, 0)]
)
def test_equals_the_reference(sizes: tuple[int, int, int, int], impl: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        case = inputs(*sizes, dtype)
        for found, wanted in zip(run(*case, impl), run(*case, "reference"), strict=True):
            assert found.dtype == dtype
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("impl", IMPLS)
def test_the_inverse_undoes_it(impl: str) -> None:
    x, rows, _ = inputs(2, 9, 9, 5)
    there = permute_rows(x, rows, impl=impl)
    assert torch.equal(permute_rows(there, rows.argsort(1), impl=impl), x)


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_and_strides_change_nothing(impl: str) -> None:
    x, rows, grad = (t.detach() for t in inputs(3, 9, 4, 5))
    whole = run(x.requires_grad_(), rows, grad, impl)
    spread = x.detach().transpose(0, 2).contiguous().transpose(0, 2)[1:2].requires_grad_()
    alone = run(spread, rows.t().contiguous().t()[1:2], grad[1:2], impl)
    for a, b in zip(whole, alone, strict=True):
        assert torch.equal(a[1:2], b)


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    x, rows, grad = inputs(2, 3, 2, 4)
    torch.library.opcheck(permute_rows_fwd, (x, rows, impl))
    torch.library.opcheck(permute_rows_bwd, (grad, rows, 3, impl))


def test_compiles_without_a_graph_break() -> None:
    compiled = torch.compile(permute_rows, fullgraph=True, backend="aot_eager", dynamic=True)
    for sizes in ((2, 9, 9, 5), (3, 8, 4, 7)):
        x, rows, grad = inputs(*sizes)
        out = compiled(x, rows)
        found = [out.detach(), *torch.autograd.grad(out, x, grad)]
        for a, b in zip(found, run(x, rows, grad, "auto"), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("impl", IMPLS)
def test_differentiated_once(impl: str) -> None:
    x, rows, _ = inputs(2, 3, 2, 4)
    (slope,) = torch.autograd.grad(
        permute_rows(x, rows, impl=impl).square().sum(), x, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="permute_rows must be differentiated once"):
        slope.sum().backward()


def test_errors() -> None:
    x, rows, _ = inputs(1, 3, 2, 4)
    with pytest.raises(ValueError, match=r"rows must be \(B, M\) with B = 1 from x"):
        permute_rows(x, rows.expand(2, -1))
    with pytest.raises(
        TypeError, match=r"rows must be int64, got torch\.int32; convert it with rows"
    ):
        permute_rows(x, rows.int())
    for impl in ("reference", *IMPLS):
        with pytest.raises(ValueError, match=r"rows must lie in \[0, 2\].*got 0 to 3"):
            permute_rows(x, torch.tensor([[0, 3]]), impl=impl)
        with pytest.raises(ValueError, match="rows must be distinct in each sequence, got 1 rep"):
            permute_rows(x, torch.tensor([[1, 1]]), impl=impl)


@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [(2, 9, 9, 5), (32, 1024, 512, 192), (3, 1000, 1000, 387)])
def test_on_the_gpu(sizes: tuple[int, int, int, int]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x, rows, grad = (t.detach().cuda() for t in inputs(*sizes, dtype))
        case = (x.requires_grad_(), rows, grad)
        for found, wanted in zip(run(*case, "triton"), run(*case, "reference"), strict=True):
            assert torch.equal(found, wanted)

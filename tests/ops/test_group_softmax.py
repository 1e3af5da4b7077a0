"""Softmax over neighbours: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.group_softmax import (
    group_softmax,
    group_softmax_bwd,
    group_softmax_fwd,
)

# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}
SIZES = [
    pytest.param((1, 1, 1, 1, 1), id="ones"),
    pytest.param((2, 9, 7, 3, 5), id="odd"),
    pytest.param((1, 20, 6, 1, 17), id="one neighbour"),
    pytest.param((1, 3, 1, 40, 16), id="one query, crowded points"),
]


def more_inputs(sizes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Centre and weight of the queries."""
    clouds, _, queries, k, channels = sizes
    draw = torch.Generator().manual_seed(1)
    centre = torch.randn(clouds, queries, channels, generator=draw).to(dtype)
    weight = torch.rand(clouds, queries, k, generator=draw)
    return {"centre": centre.requires_grad_(), "weight": weight.requires_grad_()}


def run_all(
    case: tuple[Tensor, Tensor, Tensor], more: dict[str, Tensor], impl: str
) -> list[Tensor]:
    """Result and all gradients, with centre and weight."""
    feat, idx, grad = case
    out = group_softmax(feat, idx, **more, impl=impl)
    return [out.detach(), *torch.autograd.grad(out, [feat, *more.values()], grad)]


def exact_all(case: tuple[Tensor, Tensor, Tensor], more: dict[str, Tensor]) -> list[Tensor]:
    feat, idx, grad = case
    wide = {name: value.detach().double().requires_grad_() for name, value in more.items()}
    return run_all((feat.detach().double().requires_grad_(), idx, grad.double()), wide, "reference")


def inputs(
    sizes: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Features, a neighbour table with padding, and a gradient."""
    clouds, num_points, queries, k, channels = sizes
    draw = torch.Generator().manual_seed(seed)
    feat = torch.randn(clouds, num_points, channels, generator=draw).to(dtype)
    idx = torch.randint(-1, num_points, (clouds, queries, k), generator=draw)
    grad = torch.randn(clouds, queries, channels, generator=draw).to(dtype)
    return feat.requires_grad_(), idx, grad


def run(feat: Tensor, idx: Tensor, grad: Tensor, impl: str) -> list[Tensor]:
    """Result and gradient."""
    out = group_softmax(feat, idx, impl=impl)
    return [out.detach(), *torch.autograd.grad(out, feat, grad)]


def exact(feat: Tensor, idx: Tensor, grad: Tensor) -> list[Tensor]:
    return run(feat.detach().double().requires_grad_(), idx, grad.double(), "reference")


def assert_as_good_as_eager(actual: Tensor, eager: Tensor, truth: Tensor) -> None:
    error = (actual.double() - truth).abs().max()
    allowed = 2 * (eager.double() - truth).abs().max()
    assert actual.dtype == eager.dtype
    assert error <= allowed + 4 * EPS[actual.dtype] * truth.abs().max()


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_by_hand(impl: str) -> None:
    log2, log3 = math.log(2), math.log(3)
    feat = torch.tensor([[[0.0], [log2], [log3], [5.0]]])
    idx = torch.tensor([[[0, 1, 2], [3, -1, 3], [-1, 3, -1], [-1, -1, -1]]])
    out = group_softmax(feat, idx, impl=impl)
    expected = torch.tensor([(2 * log2 + 3 * log3) / 6, 5.0, 5.0, 0.0])
    torch.testing.assert_close(out.flatten(), expected)


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_large_features_overflow_nothing(impl: str) -> None:
    feat = torch.tensor([[[3e4], [-3e4], [3e4]]], requires_grad=True)
    out = group_softmax(feat, torch.tensor([[[0, 1, 2], [1, 1, -1]]]), impl=impl)
    assert out.flatten().tolist() == [3e4, -3e4]
    (slope,) = torch.autograd.grad(out.sum(), feat)
    torch.testing.assert_close(slope.flatten(), torch.tensor([0.5, 1.0, 0.5]), atol=0.01, rtol=0)


def test_reference_gradcheck() -> None:
    feat, idx, _ = inputs((2, 4, 3, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(lambda f: group_softmax(f, idx), feat)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: tuple[int, ...], impl: str) -> None:
    for dtype in DTYPES if sizes == (2, 9, 7, 3, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(*case, impl), run(*case, "reference"), exact(*case), strict=True
        ):
            assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("names", [("centre",), ("weight",), ("centre", "weight")], ids="+".join)
def test_centre_and_weight(names: tuple[str, ...], impl: str) -> None:
    for sizes in ((2, 9, 7, 3, 5), (1, 1, 1, 1, 1), (1, 3, 1, 20, 17)):
        for dtype in DTYPES if sizes == (2, 9, 7, 3, 5) else DTYPES[:1]:
            case, both = inputs(sizes, dtype), more_inputs(sizes, dtype)
            more = {name: both[name] for name in names}
            results = run_all(case, more, impl), run_all(case, more, "reference")
            for actual, eager, truth in zip(*results, exact_all(case, more), strict=True):
                assert_as_good_as_eager(actual, eager, truth)


def test_centre_and_weight_by_hand() -> None:
    log2, log3 = math.log(2), math.log(3)
    feat = torch.tensor([[[0.0], [log2 / 2 - 1], [5.0]]])
    weight = torch.tensor([[[1.0, 2.0, 7.0]]])
    # Values 1 * (0 + log 3) and 2 * (log2 / 2 - 1 + log 3); the third is padding.
    out = group_softmax(
        feat, torch.tensor([[[0, 1, -1]]]), centre=torch.full((1, 1, 1), log3), weight=weight
    )
    second = log2 - 2 + 2 * log3
    expected = (3 * log3 + math.exp(second) * second) / (3 + math.exp(second))
    assert out.item() == pytest.approx(expected, rel=1e-6)


def test_reference_gradcheck_of_centre_and_weight() -> None:
    sizes = (1, 4, 3, 3, 2)
    feat, idx, _ = inputs(sizes, torch.float64)
    more = {k: v.detach().double().requires_grad_() for k, v in more_inputs(sizes).items()}
    assert torch.autograd.gradcheck(
        lambda f, c, w: group_softmax(f, idx, centre=c, weight=w), (feat, *more.values())
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_past_every_block(dtype: torch.dtype) -> None:
    sizes = (2, 257, 63, 12, 130)
    case, more = inputs(sizes, dtype), more_inputs(sizes, dtype)
    for actual, eager, truth in zip(
        run_all(case, more, "cpu"),
        run_all(case, more, "reference"),
        exact_all(case, more),
        strict=True,
    ):
        assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
@pytest.mark.parametrize("sizes", [(0, 3, 2, 2, 4), (2, 3, 0, 2, 4), (2, 3, 2, 0, 4)])
def test_empty(sizes: tuple[int, ...], impl: str) -> None:
    feat, idx, grad = inputs(sizes)
    out, dfeat = run(feat, idx, grad, impl)
    assert out.shape == grad.shape and not out.any()
    assert not dfeat.any() and dfeat.shape == feat.shape


@pytest.mark.parametrize("impl", IMPLS)
def test_a_constant_comes_through(impl: str) -> None:
    """Adding a constant to all features adds it to the result: weights do not change."""
    feat, idx, _ = inputs((2, 9, 7, 3, 5))
    idx = idx.clamp(min=0)
    moved = group_softmax(feat + 3, idx, impl=impl)
    torch.testing.assert_close(moved, group_softmax(feat, idx, impl=impl) + 3)


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_inputs(impl: str) -> None:
    feat, idx, grad = (tensor.detach() for tensor in inputs((2, 9, 7, 3, 5)))
    spread = torch.randn(2, 9, 11)
    spread[..., 1::2] = feat
    strided = [
        spread[..., 1::2].requires_grad_(),
        idx.transpose(1, 2).contiguous().transpose(1, 2),
        grad.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    ]
    plain = [feat.requires_grad_(), idx, grad]
    for actual, expected in zip(run(*strided, impl), run(*plain, impl), strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_and_a_second_run_change_nothing(impl: str) -> None:
    feat, idx, grad = (tensor.detach() for tensor in inputs((3, 9, 7, 3, 5)))

    def at(rows: slice) -> list[Tensor]:
        return run(feat[rows].requires_grad_(), idx[rows], grad[rows], impl)

    whole = at(slice(0, 3))
    assert all(torch.equal(a, b) for a, b in zip(whole, at(slice(0, 3)), strict=True))
    assert all(torch.equal(a[1:2], b) for a, b in zip(whole, at(slice(1, 2)), strict=True))


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    feat, idx, grad = inputs((1, 3, 2, 2, 2))
    centre, weight = more_inputs((1, 3, 2, 2, 2)).values()
    torch.library.opcheck(group_softmax_fwd, (feat, idx, None, None, impl))
    torch.library.opcheck(group_softmax_fwd, (feat, idx, centre, weight, impl))
    rest = [tensor.detach() for tensor in (feat, idx, centre, weight)]
    _, mean, log_sum = group_softmax_fwd(*rest, impl)
    torch.library.opcheck(group_softmax_bwd, (grad, *rest, mean, log_sum, impl))


def test_compiles_without_a_graph_break() -> None:
    compiled = torch.compile(group_softmax, fullgraph=True, backend="aot_eager", dynamic=True)
    for sizes in ((2, 9, 7, 3, 5), (3, 8, 6, 4, 7)):
        feat, idx, grad = inputs(sizes)
        out = compiled(feat, idx)
        graph = [out.detach(), *torch.autograd.grad(out, feat, grad)]
        for actual, expected in zip(graph, run(feat, idx, grad, "auto"), strict=True):
            assert torch.equal(actual, expected)


def test_errors() -> None:
    feat, idx, _ = inputs((1, 3, 2, 2, 4))
    with pytest.raises(ValueError, match=r"idx must be \(B, M, K\), got \(2, 2\)"):
        group_softmax(feat, idx[0])
    with pytest.raises(TypeError, match=r"idx must be int64, got torch.int32; convert it"):
        group_softmax(feat, idx.int())
    with pytest.raises(
        TypeError, match=r"feat must be float16, bfloat16 or float32 for impl='cpu'"
    ):
        group_softmax(feat.double(), idx, impl="cpu")
    with pytest.raises(TypeError, match=r"centre must have the dtype of feat.*got torch.float64"):
        group_softmax(feat, idx, centre=torch.zeros(1, 2, 4).double())
    with pytest.raises(TypeError, match=r"weight must be torch.float32 beside torch.float32"):
        group_softmax(feat, idx, weight=torch.zeros(1, 2, 2).half())
    with pytest.raises(ValueError, match=r"weight must be \(B, M, K\) with K = 2 from idx"):
        group_softmax(feat, idx, weight=torch.zeros(1, 2, 3))
    with pytest.raises(NotImplementedError, match="group_softmax must be differentiated once"):
        out = group_softmax(feat, idx).square().sum()
        torch.autograd.grad(out, feat, create_graph=True)[0].sum().backward()
    for impl in ("reference", *IMPLS):
        with pytest.raises(ValueError, match=r"idx must lie in \[-1, 2\].*got 0 to 3"):
            group_softmax(feat, torch.tensor([[[0, 3]] * 2]), impl=impl)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [*SIZES, (4, 1024, 512, 24, 384), (2, 257, 63, 12, 195)])
def test_on_the_gpu(sizes: tuple[int, ...], dtype: torch.dtype) -> None:
    case = tuple(tensor.detach().cuda() for tensor in inputs(sizes, dtype))
    case[0].requires_grad_()
    more = {k: v.detach().cuda().requires_grad_() for k, v in more_inputs(sizes, dtype).items()}
    for extra in ({}, more):
        actual = run_all(case, extra, "triton")
        others = run_all(case, extra, "reference"), exact_all(case, extra)
        for result, eager, truth in zip(actual, *others, strict=True):
            assert_as_good_as_eager(result, eager, truth)
        again = run_all(case, extra, "triton")
        assert all(torch.equal(a, b) for a, b in zip(actual, again, strict=True))

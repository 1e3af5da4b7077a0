"""The end of a local group: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops import RunningStats, batch_norm_max
from pcmamba.ops._impl import interpreting
from pcmamba.ops.batch_norm_max import batch_norm_max_bwd, batch_norm_max_fwd

IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]
DTYPES = [torch.float32, torch.bfloat16]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7}
SIZES = [
    pytest.param((1, 1, 2, 1), id="one query"),
    pytest.param((2, 7, 3, 5), id="odd"),
    pytest.param((1, 33, 1, 70), id="one neighbour"),
]


def inputs(sizes: tuple[int, int, int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Groups, shortcut, scale, shift, gradient."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(sizes, generator=draw) * 2 + 5
    shortcut = torch.randn(sizes, generator=draw)
    weight, bias = (torch.randn(sizes[3], generator=draw) for _ in range(2))
    grad = torch.randn(sizes[0], sizes[1], sizes[3], generator=draw)
    floats = [x.to(dtype), shortcut.to(dtype), weight, bias]
    return [*(t.requires_grad_() for t in floats), grad]


def fresh(x: Tensor) -> RunningStats:
    wide = torch.promote_types(x.dtype, torch.float32)
    ramp = torch.arange(x.shape[-1], dtype=wide, device=x.device)
    return RunningStats(ramp * 0.1 + 4, ramp + 1)


def run(case: list[Tensor], impl: str, training: bool = True) -> list[Tensor]:
    """Result, four gradients and the running statistics afterwards."""
    *floats, grad = case
    running = fresh(floats[0])
    out = batch_norm_max(*floats, running, training=training, impl=impl)
    return [out.detach(), *torch.autograd.grad(out, floats, grad.to(out.dtype)), *running]


def exact(case: list[Tensor], training: bool = True) -> list[Tensor]:
    wide = [t.detach().double().requires_grad_(t.requires_grad) for t in case]
    return run(wide, "reference", training)


def assert_as_good_as_eager(actual: Tensor, eager: Tensor, truth: Tensor) -> None:
    error = (actual.double() - truth).norm()
    allowed = 2 * (eager.double() - truth).norm()
    assert actual.dtype == eager.dtype
    assert error <= allowed + 4 * EPS[actual.dtype] * truth.norm()


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_by_hand(impl: str) -> None:
    x = torch.tensor([[[[1.0], [3.0]], [[3.0], [1.0]]]], requires_grad=True)
    shortcut = torch.tensor([[[[4.0], [2.0]], [[0.0], [-9.0]]]], requires_grad=True)
    running = RunningStats(torch.zeros(1), torch.ones(1))
    weight, bias = torch.tensor([1.0]), torch.tensor([-1.5])
    out = batch_norm_max(
        *(x, shortcut, weight, bias, running), training=True, eps=0.0, impl=impl
    )  # normalised -1, 1, 1, -1; sums 1.5, 1.5 and -0.5, -11.5
    assert out.flatten().tolist() == [1.5, 0.0]
    assert running.mean.tolist() == pytest.approx([0.2])
    out.sum().backward()
    assert shortcut.grad.flatten().tolist() == [1.0, 0.0, 0.0, 0.0], "the first of equals"


@pytest.mark.parametrize("training", [True, False])
def test_reference_gradcheck(training: bool) -> None:
    case = [t.detach().double().requires_grad_() for t in inputs((2, 2, 3, 2))[:4]]

    def function(*floats: Tensor) -> Tensor:
        return batch_norm_max(*floats, fresh(floats[0]), training=training)

    assert torch.autograd.gradcheck(function, case)
    assert torch.autograd.gradgradcheck(function, case)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients(sizes: tuple[int, int, int, int], training: bool, impl: str) -> None:
    for dtype in DTYPES if sizes == (2, 7, 3, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(case, impl, training),
            run(case, "reference", training),
            exact(case, training),
            strict=True,
        ):
            assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_strided_slice_and_two_runs(impl: str) -> None:
    case = inputs((2, 7, 3, 5))
    strided = [t.detach().transpose(0, -1).contiguous().transpose(0, -1) for t in case]
    for new, old in zip(strided, case, strict=True):
        new.requires_grad_(old.requires_grad)
    for other in (strided, case):
        for first, second in zip(run(case, impl), run(other, impl), strict=True):
            assert torch.equal(first, second)


@pytest.mark.parametrize("impl", IMPLS)
def test_order_of_the_neighbours_changes_nothing(impl: str) -> None:
    x, shortcut, weight, bias, grad = inputs((2, 7, 3, 5))
    moved = [t.detach()[:, :, [2, 0, 1]].requires_grad_() for t in (x, shortcut)]
    plain = run([x, shortcut, weight, bias, grad], impl)
    turned = run([*moved, weight, bias, grad], impl)
    torch.testing.assert_close(turned[0], plain[0])
    torch.testing.assert_close(turned[2], plain[2][:, :, [2, 0, 1]])


@pytest.mark.parametrize("impl", IMPLS)
def test_a_nan_shows(impl: str) -> None:
    x, shortcut, weight, bias, _ = inputs((2, 7, 3, 5))
    with torch.no_grad():
        shortcut[1, 2, 1, 3] = float("nan")
    out = batch_norm_max(x, shortcut, weight, bias, fresh(x), training=True, impl=impl)
    assert out.isnan().nonzero().tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    x, shortcut, weight, bias, grad = inputs((1, 2, 2, 3))
    stats = fresh(x)
    torch.library.opcheck(batch_norm_max_fwd, (x, shortcut, weight, bias, None, None, 1e-5, impl))
    torch.library.opcheck(batch_norm_max_fwd, (x, shortcut, weight, bias, *stats, 1e-5, impl))
    x, shortcut, weight, bias = (t.detach() for t in (x, shortcut, weight, bias))
    out, winner, *_ = batch_norm_max_fwd(x, shortcut, weight, bias, *stats, 1e-5, impl)
    args = (grad, x, out, winner, weight, *stats, True, 1e-5, impl)
    torch.library.opcheck(batch_norm_max_bwd, args)


@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_compiles_without_a_graph_break(impl: str) -> None:
    def function(*floats: Tensor) -> Tensor:
        return batch_norm_max(*floats, fresh(floats[0]), training=True, impl=impl)

    case = inputs((2, 7, 3, 5))
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    out = compiled(*case[:4])
    found = [out.detach(), *torch.autograd.grad(out, case[:4], case[4])]
    for a, b in zip(found, run(case, impl)[:5], strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("impl", IMPLS)
def test_differentiated_once(impl: str) -> None:
    floats = inputs((1, 2, 2, 3))[:4]
    out = batch_norm_max(*floats, fresh(floats[0]), training=True, impl=impl)
    (slope,) = torch.autograd.grad(out.square().sum(), floats[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="batch_norm_max must be differentiated once"):
        slope.sum().backward()


def test_errors() -> None:
    x, shortcut, weight, bias, _ = inputs((1, 2, 2, 3))
    running = fresh(x)
    with pytest.raises(ValueError, match=r"shortcut must be \(B, M, K, C\) with K = 2 from x"):
        batch_norm_max(x, shortcut[:, :, :1], weight, bias, running, training=True)
    with pytest.raises(TypeError, match=r"shortcut must have the dtype of x, torch\.float32"):
        batch_norm_max(x, shortcut.bfloat16(), weight, bias, running, training=True)
    with pytest.raises(ValueError, match="x must have 1 to 255 neighbours, got 0"):
        batch_norm_max(x[:, :, :0], shortcut[:, :, :0], weight, bias, running, training=True)
    with pytest.raises(ValueError, match="x must have at least two rows in training, got 1"):
        one = (t[:, :1, :1] for t in (x, shortcut))
        batch_norm_max(*one, weight, bias, running, training=True)
    with pytest.raises(TypeError, match=r"float32 for impl='cpu', got torch.float64"):
        wide = (t.double() for t in (x, shortcut))
        batch_norm_max(*wide, weight, bias, running, training=True, impl="cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 1, 2, 1), (2, 63, 12, 195), (8, 1024, 12, 192)])
def test_on_the_gpu(sizes: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    for training in (True, False):
        case = [t.detach().cuda().requires_grad_(t.requires_grad) for t in inputs(sizes, dtype)]
        actual = run(case, "triton", training)
        for result, eager, truth in zip(
            actual, run(case, "reference", training), exact(case, training), strict=True
        ):
            assert_as_good_as_eager(result, eager, truth)
        for a, b in zip(actual, run(case, "triton", training), strict=True):
            assert torch.equal(a, b)

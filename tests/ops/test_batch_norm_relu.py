"""Batch normalisation with ReLU: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcmamba.ops import RunningStats, batch_norm_relu
from pcmamba.ops._impl import interpreting
from pcmamba.ops.batch_norm_relu import batch_norm_relu_bwd, batch_norm_relu_fwd

IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]
DTYPES = [torch.float32, torch.bfloat16]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7}
SIZES = [
    pytest.param((2, 1), id="two rows"),
    pytest.param((63, 5), id="odd"),
    pytest.param((257, 70), id="past the blocks"),
]


def inputs(sizes: tuple[int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Rows far from zero, scale, shift, gradient."""
    rows, channels = sizes
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(rows, channels, generator=draw) * 2 + 5
    weight, bias = (torch.randn(channels, generator=draw) for _ in range(2))
    grad = torch.randn(rows, channels, generator=draw)
    return [x.to(dtype).requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), grad]


def fresh(channels: int, like: Tensor) -> RunningStats:
    wide = torch.promote_types(like.dtype, torch.float32)
    ramp = torch.arange(channels, dtype=wide, device=like.device)
    return RunningStats(ramp * 0.1 + 4, ramp + 1)


def run(case: list[Tensor], impl: str, training: bool = True, relu: bool = True) -> list[Tensor]:
    """Result, three gradients and the running statistics afterwards."""
    x, weight, bias, grad = case
    running = fresh(x.shape[1], x)
    y = batch_norm_relu(x, weight, bias, running, training=training, relu=relu, impl=impl)
    return [y.detach(), *torch.autograd.grad(y, (x, weight, bias), grad.to(y.dtype)), *running]


def exact(case: list[Tensor], **options: bool) -> list[Tensor]:
    wide = [t.detach().double().requires_grad_(t.requires_grad) for t in case]
    return run(wide, "reference", **options)


def assert_as_good_as_eager(actual: Tensor, eager: Tensor, truth: Tensor) -> None:
    error = (actual.double() - truth).norm()
    allowed = 2 * (eager.double() - truth).norm()
    assert actual.dtype == eager.dtype
    assert error <= allowed + 4 * EPS[actual.dtype] * truth.norm()


def test_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    running = RunningStats(torch.zeros(2), torch.ones(2))
    weight, bias = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0])
    y = batch_norm_relu(x, weight, bias, running, training=True, eps=0.0)
    assert y.tolist() == [[0.0, 0.0], [1.0, 3.0]]
    assert running.mean.tolist() == pytest.approx([0.2, 0.2])
    assert running.var.tolist() == pytest.approx([0.9 + 0.1 * 2, 0.9 + 0.1 * 8])


@pytest.mark.parametrize("training", [True, False])
def test_reference_is_torchs_batch_norm(training: bool) -> None:
    x, weight, bias, grad = (t.detach().double() for t in inputs((63, 5)))
    norm = nn.BatchNorm1d(5).double().train(training)
    running = fresh(5, x)
    with torch.no_grad():
        for mine, given in zip(
            (norm.weight, norm.bias, norm.running_mean, norm.running_var),
            (weight, bias, *running),
            strict=True,
        ):
            mine.copy_(given)
    rows = x.clone().requires_grad_()
    wanted = norm(rows).relu()
    wanted.backward(grad)
    case = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), grad]
    found = run(case, "reference", training=training)
    expected = [wanted.detach(), rows.grad, norm.weight.grad, norm.bias.grad]
    for a, b in zip(found, [*expected, norm.running_mean, norm.running_var], strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("training", [True, False])
def test_reference_gradcheck(training: bool) -> None:
    case = [t.detach().double().requires_grad_() for t in inputs((4, 3))[:3]]

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return batch_norm_relu(x, weight, bias, fresh(3, x), training=training)

    assert torch.autograd.gradcheck(function, case)
    assert torch.autograd.gradgradcheck(function, case)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("options", [{}, {"relu": False}, {"training": False}], ids=str)
def test_values_and_gradients(sizes: tuple[int, int], options: dict[str, bool], impl: str) -> None:
    for dtype in DTYPES if sizes == (63, 5) else DTYPES[:1]:
        case = inputs(sizes, dtype)
        for actual, eager, truth in zip(
            run(case, impl, **options),
            run(case, "reference", **options),
            exact(case, **options),
            strict=True,
        ):
            assert_as_good_as_eager(actual, eager, truth)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_large_mean_keeps_the_variance(impl: str) -> None:
    x, weight, bias, grad = inputs((200, 4))
    case = [(x.detach() + 1000).requires_grad_(), weight, bias, grad]
    y, truth = run(case, impl)[0], exact(case)[0]
    torch.testing.assert_close(y, truth.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_strided_slice_and_two_runs(impl: str) -> None:
    x, weight, bias, grad = inputs((63, 5))
    spread = torch.randn(63, 11)
    spread[:, 1::2] = x.detach()
    strided = [spread[:, 1::2].requires_grad_(), weight, bias, grad.t().contiguous().t()]
    plain = [x, weight, bias, grad]
    for first, second in zip(run(plain, impl), run(strided, impl), strict=True):
        assert torch.equal(first, second)
    for first, second in zip(run(plain, impl), run(plain, impl), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("impl", IMPLS)
def test_order_of_the_rows_goes_through(impl: str) -> None:
    x, weight, bias, grad = inputs((63, 5))
    perm = torch.randperm(63, generator=torch.Generator().manual_seed(1))
    moved = [x.detach()[perm].requires_grad_(), weight, bias, grad[perm]]
    plain, turned = run([x, weight, bias, grad], impl), run(moved, impl)
    for i in range(2):
        torch.testing.assert_close(turned[i], plain[i][perm], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_nan_spoils_its_channel_alone(impl: str) -> None:
    x, weight, bias, _ = inputs((63, 5))
    with torch.no_grad():
        x[7, 2] = float("nan")
    y = batch_norm_relu(x, weight, bias, fresh(5, x), training=True, impl=impl)
    assert y[:, 2].isnan().all() and not y[:, [0, 1, 3, 4]].isnan().any()


@pytest.mark.parametrize("impl", IMPLS)
def test_registration(impl: str) -> None:
    x, weight, bias, grad = inputs((5, 3))
    stats = fresh(3, x)
    torch.library.opcheck(batch_norm_relu_fwd, (x, weight, bias, None, None, 1e-5, True, impl))
    torch.library.opcheck(batch_norm_relu_fwd, (x, weight, bias, *stats, 1e-5, True, impl))
    floats = (t.detach() for t in (grad, x, weight, bias))
    args = (*floats, *stats, True, 1e-5, True, impl)
    torch.library.opcheck(batch_norm_relu_bwd, args)


@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_compiles_without_a_graph_break(impl: str) -> None:
    def function(x: Tensor, weight: Tensor, bias: Tensor, running: RunningStats) -> Tensor:
        return batch_norm_relu(x, weight, bias, running, training=True, impl=impl)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    x, weight, bias, grad = inputs((63, 5))
    running = fresh(5, x)
    y = compiled(x, weight, bias, running)
    found = [y.detach(), *torch.autograd.grad(y, (x, weight, bias), grad), *running]
    for a, b in zip(found, run([x, weight, bias, grad], impl), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("impl", IMPLS)
def test_differentiated_once(impl: str) -> None:
    x, weight, bias, _ = inputs((5, 3))
    y = batch_norm_relu(x, weight, bias, fresh(3, x), training=True, impl=impl)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="batch_norm_relu must be differentiated once"):
        slope.sum().backward()


def test_errors() -> None:
    x, weight, bias, _ = inputs((5, 3))
    running = fresh(3, x)
    with pytest.raises(ValueError, match=r"x must be \(R, C\), got \(5, 3, 1\)"):
        batch_norm_relu(x[..., None], weight, bias, running, training=True)
    with pytest.raises(ValueError, match="x must have at least two rows in training, got 1"):
        batch_norm_relu(x[:1], weight, bias, running, training=True)
    with pytest.raises(TypeError, match=r"x must be real floating point, got torch\.int64"):
        batch_norm_relu(x.detach().long(), weight, bias, running, training=True)
    with pytest.raises(TypeError, match=r"float32 for impl='cpu', got torch.float64"):
        batch_norm_relu(x.double(), weight, bias, running, training=True, impl="cpu")
    with pytest.raises(ValueError, match="impl must be one of"):
        batch_norm_relu(x, weight, bias, running, training=True, impl="nvrtc")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(2, 1), (257, 70), (32, 512), (50001, 195), (393216, 192)])
def test_on_the_gpu(sizes: tuple[int, int], dtype: torch.dtype) -> None:
    for options in ({}, {"relu": False}, {"training": False}):
        case = [t.detach().cuda().requires_grad_(t.requires_grad) for t in inputs(sizes, dtype)]
        actual = run(case, "triton", **options)
        for result, eager, truth in zip(
            actual, run(case, "reference", **options), exact(case, **options), strict=True
        ):
            assert_as_good_as_eager(result, eager, truth)
        for a, b in zip(actual, run(case, "triton", **options), strict=True):
            assert torch.equal(a, b)

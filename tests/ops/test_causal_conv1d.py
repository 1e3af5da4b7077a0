"""Causal convolution: hand case, torch's own, laws, compiled loops against float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._impl import interpreting
from pcmamba.ops.causal_conv1d import causal_conv1d, causal_conv1d_fwd

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def make_inputs(
    batch: int, length: int, channels: int, taps: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """x, weight, bias; the parameters stay float32 where `dtype` is narrower."""
    draw = torch.Generator().manual_seed(length * 100 + channels * 10 + taps)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x = torch.randn(batch, length, channels, generator=draw, dtype=torch.float64).to(dtype)
    weight = torch.randn(channels, taps, generator=draw, dtype=torch.float64).to(wide)
    return [x, weight, torch.randn(channels, generator=draw, dtype=torch.float64).to(wide)]


def values_and_gradients(inputs: list[Tensor], **options: Any) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in inputs]
    y = causal_conv1d(*leaves, **options)
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(y.shape, generator=draw, dtype=torch.float64)
    return [y.detach(), *torch.autograd.grad(y, leaves, weights.to(y.dtype))]


def assert_as_good_as_eager(inputs: list[Tensor], impl: str, **options: Any) -> None:
    actual = values_and_gradients(inputs, impl=impl, **options)
    eager = values_and_gradients(inputs, impl="reference", **options)
    truth = values_and_gradients([t.double() for t in inputs], impl="reference", **options)
    for got, near, exact in zip(actual, eager, truth, strict=True):
        assert got.dtype == near.dtype
        assert got.shape == exact.shape
        if exact.numel():
            allowed = 2 * (near.double() - exact).abs().max()
            allowed += 4 * EPS[got.dtype] * exact.abs().max()
            assert (got.double() - exact).abs().max() <= allowed


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1)
    weight, bias = torch.tensor([[10.0, 1.0]]), torch.tensor([0.5])
    ahead = causal_conv1d(x, weight, bias, impl=impl)
    back = causal_conv1d(x, weight, bias, reverse=True, impl=impl)
    assert ahead.flatten().tolist() == [1.5, 12.5, 23.5]
    assert back.flatten().tolist() == [21.5, 32.5, 3.5]
    y = causal_conv1d(x, weight, bias, activation="silu", impl=impl)
    torch.testing.assert_close(y, ahead / (1 + torch.exp(-ahead)))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 7])
def test_is_torch_convolution_with_padding_in_front(impl: str, taps: int) -> None:
    x, weight, bias = make_inputs(2, 9, 5, taps)
    padded = F.pad(x.mT, (taps - 1, 0))
    want = F.silu(F.conv1d(padded, weight[:, None], bias, groups=5)).mT
    torch.testing.assert_close(causal_conv1d(x, weight, bias, activation="silu", impl=impl), want)


@pytest.mark.parametrize("options", [{}, {"activation": "silu", "reverse": True}], ids=str)
def test_gradcheck(options: dict[str, Any]) -> None:
    inputs = [t.requires_grad_() for t in make_inputs(2, 5, 2, 3, torch.float64)]
    assert torch.autograd.gradcheck(lambda *t: causal_conv1d(*t, **options), inputs)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((2, 0, 5, 3), id="no steps"),
        pytest.param((0, 4, 5, 3), id="no sequences"),
        pytest.param((1, 4, 0, 3), id="no channels"),
        pytest.param((1, 1, 1, 1), id="ones"),
        pytest.param((2, 2, 16, 4), id="shorter than the taps"),
        pytest.param((2, 63, 24, 2), id="63 steps"),
        pytest.param((1, 257, 70, 4), id="257 steps, channels padded"),
    ],
)
@pytest.mark.parametrize(
    "options", [{"activation": "silu"}, {"reverse": True}], ids=["silu", "reverse"]
)
def test_cpu_as_good_as_eager(sizes: tuple[int, int, int, int], options: dict[str, Any]) -> None:
    assert_as_good_as_eager(make_inputs(*sizes), "cpu", **options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cpu_in_narrow_types(dtype: torch.dtype) -> None:
    inputs = make_inputs(2, 40, 20, 4, dtype)
    assert_as_good_as_eager(inputs, "cpu", activation="silu")
    assert causal_conv1d(*inputs).dtype == dtype


def test_cpu_without_bias_and_with_strided_slices() -> None:
    x, weight, _ = make_inputs(2, 40, 64, 8)
    part, taps = x[..., 16:48], weight[:32, ::2]
    got = values_and_gradients([part, taps], activation="silu", impl="cpu")
    want = values_and_gradients([part.clone(), taps.clone()], activation="silu", impl="cpu")
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    near = values_and_gradients([part, taps], activation="silu", impl="reference")
    for actual, expected in zip(got, near, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_reverse_is_a_flip(impl: str) -> None:
    x, weight, bias = make_inputs(2, 20, 5, 4)
    back = causal_conv1d(x, weight, bias, reverse=True, impl=impl)
    assert torch.equal(back, causal_conv1d(x.flip(1), weight, bias, impl=impl).flip(1))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_ragged_is_looped_dense(reverse: bool) -> None:
    x, weight, bias = make_inputs(1, 100, 20, 4)
    ends = [0, 0, 35, 36, 36, 100]
    ragged = [x[0], weight, bias]
    for impl in ("reference", "cpu"):
        options = {"reverse": reverse, "impl": impl}
        y = causal_conv1d(*ragged, offsets=torch.tensor(ends), **options)
        parts = [
            causal_conv1d(x[:, begin:end], weight, bias, **options)[0]
            for begin, end in itertools.pairwise(ends)
        ]
        assert torch.equal(y, torch.cat(parts))
    assert_as_good_as_eager(ragged, "cpu", offsets=torch.tensor(ends), reverse=reverse)


def test_batch_mates_change_nothing() -> None:
    x, weight, bias = make_inputs(3, 20, 5, 4)
    alone = causal_conv1d(x[1:2], weight, bias)
    x[0], x[2] = math.nan, 1e6
    assert torch.equal(causal_conv1d(x, weight, bias)[1:2], alone)


def test_same_bits_again_and_with_one_thread() -> None:
    inputs = make_inputs(3, 70, 100, 4)
    first, again = (values_and_gradients(inputs, impl="cpu") for _ in range(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = values_and_gradients(inputs, impl="cpu")
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, single, strict=True))


def test_double_backward_is_refused() -> None:
    x, weight, bias = (t.requires_grad_() for t in make_inputs(1, 5, 3, 2))
    y = causal_conv1d(x, weight, bias, impl="cpu").square().sum()
    (grad,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="causal_conv1d must be differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    x, weight, bias = (t.requires_grad_() for t in make_inputs(1, 6, 3, 2))
    offsets = torch.tensor([0, 2, 6])
    torch.library.opcheck(causal_conv1d_fwd, (x[0], weight, bias, offsets, True, False, impl))
    torch.library.opcheck(causal_conv1d_fwd, (x[0], weight, None, offsets, False, True, impl))


def test_compiles_without_a_break() -> None:
    inputs = make_inputs(2, 6, 3, 2)
    compiled = torch.compile(causal_conv1d, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for function in (causal_conv1d, compiled):
        leaves = [t.detach().requires_grad_() for t in inputs]
        y = function(*leaves, activation="silu")
        results.append([y, *torch.autograd.grad(y.sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.ones(6, 3)}, ValueError, r"x must be \(B, L, D\), got \(6, 3\)"),
        ({"weight": torch.ones(4, 2)}, ValueError, r"weight must be \(D, W\) with D = 3 from x"),
        ({"weight": torch.ones(3, 0)}, ValueError, "weight must have at least one tap"),
        ({"bias": torch.ones(2)}, ValueError, r"bias must be \(D\) with D = 3"),
        ({"activation": "relu"}, ValueError, "activation must be 'silu' or None, got 'relu'"),
        ({"x": torch.ones(1, 6, 3, dtype=torch.int64)}, TypeError, "x must be real floating"),
        (
            {"x": torch.ones(6, 3), "offsets": torch.tensor([0, 7])},
            ValueError,
            "offsets must rise from 0 to 6",
        ),
    ],
    ids=["axes", "weight", "taps", "bias", "activation", "integers", "offsets"],
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str, impl: str) -> None:
    x, weight, bias = make_inputs(1, 6, 3, 2)
    with pytest.raises(error, match=message):
        causal_conv1d(**({"x": x, "weight": weight, "bias": bias, "impl": impl} | changes))


def test_kernel_refuses_float64() -> None:
    with pytest.raises(TypeError, match="impl='cpu' must get float16, bfloat16 or float32"):
        causal_conv1d(*make_inputs(1, 6, 3, 2, torch.float64), impl="cpu")

"""Both convolutions at once: those of the single op, with gradients, in every implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops import causal_conv1d, causal_conv1d_pair
from pcmamba.ops._impl import interpreting
from pcmamba.ops.causal_conv1d_pair import causal_conv1d_pair_fwd

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def make_inputs(
    batch: int,
    length: int,
    channels: int,
    taps: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> list[Tensor]:
    """x, weight, bias, back_weight, back_bias; the parameters stay float32 if `dtype` is narrow."""
    draw = torch.Generator().manual_seed(length * 100 + channels * 10 + taps)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = (batch, length, channels), *2 * [(channels, taps), (channels,)]
    drawn = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    return [t.to(device, wide if i else dtype) for i, t in enumerate(drawn)]


def values_and_gradients(inputs: list[Tensor], **options: Any) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in inputs]
    pair = causal_conv1d_pair(*leaves, **options)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=draw, dtype=torch.float64) for y in pair]
    grads = [w.to(y.device, y.dtype) for w, y in zip(weights, pair, strict=True)]
    return [*(y.detach() for y in pair), *torch.autograd.grad(pair, leaves, grads)]


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
    ahead, back = causal_conv1d_pair(x, weight, bias, 2 * weight, None, impl=impl)
    assert ahead.flatten().tolist() == [1.5, 12.5, 23.5]
    assert back.flatten().tolist() == [42.0, 64.0, 6.0]


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
@pytest.mark.parametrize("ragged", [False, True])
def test_is_two_convolutions(ragged: bool, impl: str) -> None:
    x, weight, bias, back_weight, back_bias = make_inputs(1, 40, 20, 4)
    options: dict[str, Any] = {"activation": "silu", "impl": impl}
    if ragged:
        x, options["offsets"] = x[0], torch.tensor([0, 0, 13, 14, 14, 40])
    pair = causal_conv1d_pair(x, weight, bias, back_weight, back_bias, **options)
    assert torch.equal(pair.ahead, causal_conv1d(x, weight, bias, **options))
    want = causal_conv1d(x, back_weight, back_bias, reverse=True, **options)
    assert torch.equal(pair.back, want)


@pytest.mark.parametrize("activation", ["silu", None])
def test_gradcheck(activation: Any) -> None:
    inputs = [t.requires_grad_() for t in make_inputs(2, 5, 2, 3, torch.float64)]
    assert torch.autograd.gradcheck(
        lambda *t: tuple(causal_conv1d_pair(*t, activation=activation)), inputs
    )


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize(
    "sizes", [(2, 0, 5, 3), (1, 4, 0, 3), (1, 1, 1, 1), (2, 2, 16, 4), (2, 37, 70, 4)], ids=str
)
def test_as_good_as_eager(sizes: tuple[int, int, int, int], impl: str) -> None:
    assert_as_good_as_eager(make_inputs(*sizes), impl, activation="silu")


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_ragged_and_narrow(dtype: torch.dtype, impl: str) -> None:
    x, *parameters = make_inputs(1, 50, 20, 4, dtype)
    offsets = torch.tensor([0, 0, 35, 36, 50])
    assert_as_good_as_eager([x[0], *parameters], impl, activation="silu", offsets=offsets)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ragged", [False, True])
def test_triton_on_a_gpu(ragged: bool, dtype: torch.dtype) -> None:
    x, *parameters = make_inputs(3, 517, 200, 4, dtype, "cuda")
    options: dict[str, Any] = {"activation": "silu"}
    if ragged:
        x = x.flatten(0, 1)
        options["offsets"] = torch.tensor([0, 0, 700, 701, 730, 1551], device="cuda")
    assert_as_good_as_eager([x, *parameters], "triton", **options)
    runs = [values_and_gradients([x, *parameters], impl="triton", **options) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("impl", KERNELS)
def test_strided_slices_and_same_bits_again(impl: str) -> None:
    x, *parameters = make_inputs(2, 20, 48, 4)
    part = [x[..., 16:32], *(t[:16] for t in parameters)]
    got, again = (values_and_gradients(part, impl=impl, activation="silu") for _ in range(2))
    want = values_and_gradients([t.clone() for t in part], impl=impl, activation="silu")
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(got, again, strict=True))


def test_double_backward_is_refused() -> None:
    x, *parameters = (t.requires_grad_() for t in make_inputs(1, 5, 3, 2))
    y = causal_conv1d_pair(x, *parameters, impl="cpu").back.square().sum()
    (grad,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="causal_conv1d_pair must be differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    x, *parameters = (t.requires_grad_() for t in make_inputs(1, 6, 3, 2))
    offsets = torch.tensor([0, 2, 6])
    torch.library.opcheck(causal_conv1d_pair_fwd, (x[0], *parameters, offsets, True, impl))
    bare = (parameters[0], None, parameters[2], None)
    torch.library.opcheck(causal_conv1d_pair_fwd, (x[0], *bare, offsets, False, impl))


def test_compiles_without_a_break() -> None:
    inputs = make_inputs(2, 6, 3, 2)
    compiled = torch.compile(causal_conv1d_pair, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for function in (causal_conv1d_pair, compiled):
        leaves = [t.detach().requires_grad_() for t in inputs]
        ahead, back = function(*leaves, activation="silu")
        results.append([ahead, back, *torch.autograd.grad((ahead * back).sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.ones(6, 3)}, ValueError, r"x must be \(B, L, D\), got \(6, 3\)"),
        ({"back_weight": torch.ones(3, 4)}, ValueError, r"back_weight must be \(D, W\)"),
        ({"bias": torch.ones(2)}, ValueError, r"bias must be \(D\) with D = 3"),
        ({"back_bias": torch.ones(2)}, ValueError, r"back_bias must be \(D\) with D = 3"),
        ({"activation": "relu"}, ValueError, "activation must be 'silu' or None, got 'relu'"),
        ({"x": torch.ones(1, 6, 3, dtype=torch.int64)}, TypeError, "x must be real floating"),
        (
            {"x": torch.ones(6, 3), "offsets": torch.tensor([0, 7])},
            ValueError,
            "offsets must rise from 0 to 6",
        ),
    ],
    ids=["axes", "back taps", "bias", "back bias", "activation", "integers", "offsets"],
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str, impl: str) -> None:
    names = ("x", "weight", "bias", "back_weight", "back_bias")
    arguments = dict(zip(names, make_inputs(1, 6, 3, 2), strict=True)) | {"impl": impl} | changes
    with pytest.raises(error, match=message):
        causal_conv1d_pair(**arguments)
    taps = {"weight": torch.ones(3, 0), "back_weight": torch.ones(3, 0)}
    with pytest.raises(ValueError, match="weight must have at least one tap"):
        causal_conv1d_pair(**dict(zip(names, make_inputs(1, 6, 3, 2), strict=True)) | taps)

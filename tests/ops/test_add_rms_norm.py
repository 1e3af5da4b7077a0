"""Residual add and norm: hand case, torch's own, laws, kernels against the reference in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops import add_rms_norm
from pcmamba.ops._impl import interpreting
from pcmamba.ops.add_rms_norm import add_rms_norm_fwd

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def make_inputs(
    rows: int, channels: int, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> list[Tensor]:
    """x in `dtype`; weight and residual stay float32 where it is narrower."""
    draw = torch.Generator().manual_seed(rows * 1000 + channels)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = ((rows, channels), dtype), ((channels,), wide), ((rows, channels), wide)
    return [
        torch.randn(shape, generator=draw, dtype=torch.float64).to(device, kind)
        for shape, kind in shapes
    ]


def values_and_gradients(inputs: list[Tensor], **options: Any) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in inputs]
    results = add_rms_norm(*leaves, **options)
    draw = torch.Generator().manual_seed(1)
    weights = [
        torch.randn(t.shape, generator=draw, dtype=torch.float64).to(t.device) for t in results
    ]
    grads = [w.to(t.dtype) for w, t in zip(weights, results, strict=True)]
    return [*(t.detach() for t in results), *torch.autograd.grad(results, leaves, grads)]


def assert_as_good_as_eager(inputs: list[Tensor], impl: str, **options: Any) -> None:
    actual = values_and_gradients(inputs, impl=impl, **options)
    eager = values_and_gradients(inputs, impl="reference", **options)
    doubles = [t.double() for t in inputs]
    truth = values_and_gradients(doubles, impl="reference", **options | {"dtype": torch.float64})
    for got, near, exact in zip(actual, eager, truth, strict=True):
        assert got.dtype == near.dtype
        assert got.shape == exact.shape
        if exact.numel():
            allowed = 2 * (near.double() - exact).abs().max()
            allowed += 4 * EPS[got.dtype] * exact.abs().max()
            assert (got.double() - exact).abs().max() <= allowed


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x, residual = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 2.0]])
    weight = torch.tensor([10.0, 1.0])
    y, stream = add_rms_norm(x, weight, residual, eps=3.5, impl=impl)
    assert stream.tolist() == [[3.0, 4.0]]  # mean square 12.5
    torch.testing.assert_close(y, torch.tensor([[7.5, 1.0]]))
    y, stream = add_rms_norm(x, weight, eps=1.5, impl=impl)
    assert stream.tolist() == [[1.0, 2.0]]
    torch.testing.assert_close(y, torch.tensor([[10.0, 2.0]]) / 2)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_is_torch_norm_of_the_sum(impl: str) -> None:
    x, weight, residual = make_inputs(5, 12)
    y, stream = add_rms_norm(x, weight, residual, impl=impl)
    assert torch.equal(stream, residual + x)
    torch.testing.assert_close(y, F.rms_norm(residual + x, (12,), weight, 1e-5))


@pytest.mark.parametrize("count", [2, 3], ids=["no residual", "residual"])
def test_gradcheck(count: int) -> None:
    inputs = [t.requires_grad_() for t in make_inputs(3, 4, torch.float64)[:count]]
    assert torch.autograd.gradcheck(lambda *t: tuple(add_rms_norm(*t)), inputs)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("count", [2, 3], ids=["no residual", "residual"])
@pytest.mark.parametrize(
    "sizes", [(0, 5), (1, 1), (63, 16), (257, 70), (3, 2500)], ids="{0[0]}x{0[1]}".format
)
def test_as_good_as_eager(sizes: tuple[int, int], count: int, impl: str) -> None:
    assert_as_good_as_eager(make_inputs(*sizes)[:count], impl)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("out", [None, torch.float32], ids=["out like x", "out float32"])
def test_narrow_types(dtype: torch.dtype, out: torch.dtype | None, impl: str) -> None:
    inputs = make_inputs(40, 20, dtype)
    assert_as_good_as_eager(inputs, impl, dtype=out)
    assert_as_good_as_eager([inputs[0], inputs[1], inputs[2].to(dtype)], impl, dtype=out)
    y, stream = add_rms_norm(*inputs, dtype=out, impl=impl)
    assert (y.dtype, stream.dtype) == (out or dtype, torch.float32)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sizes", [(4099, 192), (300, 1000), (7, 9000)], ids=str)
def test_triton_on_a_gpu(sizes: tuple[int, int], dtype: torch.dtype) -> None:
    inputs = make_inputs(*sizes, dtype, "cuda")
    assert_as_good_as_eager(inputs, "triton")
    assert_as_good_as_eager(inputs[:2], "triton")
    first, again = (values_and_gradients(inputs, impl="triton") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("impl", KERNELS)
def test_shapes_and_strides_do_not_matter(impl: str) -> None:
    x, weight, residual = make_inputs(12, 16)
    want = values_and_gradients([x, weight, residual], impl=impl)
    wide = torch.stack([x, residual], -1)
    sliced = [wide[..., 0], torch.stack([weight, weight], -1)[:, 0], wide[..., 1]]
    got = values_and_gradients(sliced, impl=impl)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    y, stream = add_rms_norm(x.view(3, 4, 16), weight, residual.view(3, 4, 16), impl=impl)
    assert torch.equal(y.view(12, 16), want[0])
    assert torch.equal(stream.view(12, 16), want[1])


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_rows_do_not_meet(impl: str) -> None:
    x, weight, residual = make_inputs(9, 20)
    alone = add_rms_norm(x[4:5], weight, residual[4:5], impl=impl)
    x[3], x[5] = math.nan, 1e6
    whole = add_rms_norm(x, weight, residual, impl=impl)
    assert all(torch.equal(a, b[4:5]) for a, b in zip(alone, whole, strict=True))
    assert whole.y[3].isnan().all()


@pytest.mark.parametrize("impl", KERNELS)
def test_one_result_used_alone(impl: str) -> None:
    inputs = make_inputs(6, 10)
    for i, kind in itertools.product((0, 1), (impl, "reference")):
        leaves = [t.detach().requires_grad_() for t in inputs]
        grads = torch.autograd.grad(
            add_rms_norm(*leaves, impl=kind)[i].sin().sum(), leaves, materialize_grads=True
        )
        if kind == impl:
            kept = grads
    for got, want in zip(kept, grads, strict=True):
        torch.testing.assert_close(got, want)


def test_same_bits_again_and_with_one_thread() -> None:
    inputs = make_inputs(500, 100)
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
    x, weight, residual = (t.requires_grad_() for t in make_inputs(2, 3))
    y, _ = add_rms_norm(x, weight, residual, impl="cpu")
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="add_rms_norm must be differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck(impl: str, dtype: torch.dtype) -> None:
    x, weight, residual = (t.requires_grad_() for t in make_inputs(4, 6, dtype))
    torch.library.opcheck(add_rms_norm_fwd, (x, weight, residual, 1e-5, dtype, impl))
    torch.library.opcheck(add_rms_norm_fwd, (x, weight, None, 1e-5, torch.bfloat16, impl))


def test_compiles_without_a_break() -> None:
    inputs = make_inputs(4, 6)
    compiled = torch.compile(add_rms_norm, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for function in (add_rms_norm, compiled):
        leaves = [t.detach().requires_grad_() for t in inputs]
        y, stream = function(*leaves)
        results.append([y, stream, *torch.autograd.grad(y.sum() + stream.sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.ones(2, 0)}, ValueError, r"x must be \(..., C\) with at least one channel"),
        ({"weight": torch.ones(2)}, ValueError, r"weight must be \(3,\) like x, got \(2,\)"),
        ({"residual": torch.ones(3)}, ValueError, r"residual must be \(2, 3\) like x, got \(3,\)"),
        ({"eps": -1.0}, ValueError, "eps must be at least 0, got -1.0"),
        ({"dtype": torch.int32}, TypeError, "dtype must be real floating point, got torch.int32"),
        ({"x": torch.ones(2, 3, dtype=torch.int64)}, TypeError, "x must be real floating point"),
    ],
    ids=["channels", "weight", "residual", "eps", "dtype", "integers"],
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str, impl: str) -> None:
    x, weight, residual = make_inputs(2, 3)
    arguments = {"x": x, "weight": weight, "residual": residual, "impl": impl} | changes
    with pytest.raises(error, match=message):
        add_rms_norm(**arguments)


def test_kernel_refuses_float64() -> None:
    with pytest.raises(TypeError, match="impl='cpu' must get float16, bfloat16 or float32"):
        add_rms_norm(*make_inputs(2, 3, torch.float64), impl="cpu")

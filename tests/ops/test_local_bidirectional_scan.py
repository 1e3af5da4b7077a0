"""Local bidirectional scan: hand case, laws, kernels against the reference in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops import local_bidirectional_scan, selective_scan
from pcmamba.ops._impl import interpreting
from pcmamba.ops._local_bidirectional_scan import local_bidirectional_scan_fwd

EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}
# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
ROWS = ("u", "delta", "B", "C", "z", "perm")

Inputs = dict[str, Any]


def make_inputs(
    batch: int,
    length: int,
    channels: int,
    states: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Inputs:
    """Every argument of a scan; the parameters stay float32 where `dtype` is narrower."""
    draw = torch.Generator().manual_seed(length * 1000 + channels * 10 + states)
    wide = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int, like: torch.dtype = wide) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(device, like)

    return {
        "u": normal(batch, length, channels, like=dtype),
        "delta": normal(batch, length, channels, like=dtype),
        "A": -normal(channels, states).abs() - 0.01,
        "B": normal(batch, length, states, like=dtype),
        "C": normal(batch, length, states, like=dtype),
        "D": normal(channels),
        "z": normal(batch, length, channels, like=dtype),
        "delta_bias": normal(channels),
        "initial_state": normal(batch, channels, states),
        "delta_softplus": True,
    }


def change(inputs: Inputs, names: tuple[str, ...], function: Any) -> Inputs:
    return inputs | {name: function(inputs[name]) for name in names if name in inputs}


def is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def scan(inputs: Inputs, **more: Any) -> tuple[Tensor, Tensor]:
    result = local_bidirectional_scan(**inputs, return_last_state=True, **more)
    assert isinstance(result, tuple)
    return result


def values_and_gradients(inputs: Inputs, **more: Any) -> dict[str, Tensor]:
    """y, the last state and the gradient of every floating-point argument."""
    leaves = {k: v.detach().requires_grad_() if is_float(v) else v for k, v in inputs.items()}
    y, last = scan(leaves, **more)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(t.shape, generator=draw, dtype=torch.float64) for t in (y, last)]
    names = [k for k, v in leaves.items() if is_float(v)]
    grads = torch.autograd.grad(
        [y, last],
        [leaves[k] for k in names],
        [w.to(t.device, t.dtype) for w, t in zip(weights, (y, last), strict=True)],
        materialize_grads=True,  # without steps the reference reads nothing but the state
    )
    return {"y": y.detach(), "last_state": last.detach()} | dict(zip(names, grads, strict=True))


def assert_as_good_as_eager(inputs: Inputs, impl: str, **more: Any) -> None:
    """Error to float64 of every value and gradient at most twice eager's, and 4 eps."""
    actual = values_and_gradients(inputs, impl=impl, **more)
    eager = values_and_gradients(inputs, impl="reference", **more)
    doubles = {k: v.double() if is_float(v) else v for k, v in inputs.items()}
    truth = values_and_gradients(doubles, impl="reference", **more)
    for name, exact in truth.items():
        assert actual[name].dtype == eager[name].dtype, name
        assert actual[name].shape == exact.shape, name
        if exact.numel():
            allowed = 2 * (eager[name].double() - exact).abs().max()
            allowed += 4 * EPS[actual[name].dtype] * exact.abs().max()
            assert (actual[name].double() - exact).abs().max() <= allowed, name


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
@pytest.mark.parametrize(
    ("reverse", "y"),
    [(False, (2.0, 2.25, 7.125)), (True, (2.75, 3.5, 7.0))],
    ids=["forward", "reverse"],
)
def test_three_steps_by_hand(impl: str, reverse: bool, y: tuple[float, ...]) -> None:
    # b is 1, 2, 6; decays 1/2, 1/4, 1/2; segments of two steps
    # forward: h 1, 9/4, 57/8; r of the first step 1/2 (0 + 2)
    # reverse: h 6, 7/2, 11/4 from the third step on; r of the third step 1/2 (0 + 2)
    inputs = {
        "u": column(1, 1, 3),
        "delta": column(1, 2, 1),
        "A": torch.tensor([[-math.log(2)]]),
        "B": column(1, 1, 2),
        "C": column(1, 1, 1),
    }
    actual, _ = scan(inputs, segment=2, reverse=reverse, impl=impl)
    torch.testing.assert_close(actual, column(*y))


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_segments_of_one_step_are_the_selective_scan(impl: str) -> None:
    inputs = make_inputs(1, 19, 6, 3)
    y, last = scan(inputs, segment=1, impl=impl)
    want, state = selective_scan(**inputs, return_last_state=True, impl=impl)
    torch.testing.assert_close(y, want)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_one_segment_is_both_scans_less_what_both_hold(impl: str) -> None:
    inputs = {k: v for k, v in make_inputs(2, 30, 18, 4).items() if k not in ("z", "initial_state")}
    y, _ = scan(inputs, segment=32, impl=impl)
    ahead = selective_scan(**inputs, impl=impl)
    back = selective_scan(**inputs | {"D": None}, reverse=True, impl=impl)
    step = torch.nn.functional.softplus(inputs["delta"] + inputs["delta_bias"])
    own = (inputs["B"] * inputs["C"]).sum(-1, keepdim=True) * step * inputs["u"]
    torch.testing.assert_close(y, ahead + back - own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", ["plain", "all", "ragged"])
def test_gradcheck(options: str) -> None:
    inputs = make_inputs(2, 5, 2, 2, torch.float64)
    more: Inputs = {"segment": 2}
    if options == "plain":
        inputs = {k: inputs[k] for k in ("u", "delta", "A", "B", "C")}
    else:
        inputs["perm"] = torch.tensor([[2, 0, 3, 1, 4], [0, 3, 1, 4, 2]])
        more["reverse"] = True
    if options == "ragged":
        inputs = change(inputs, ROWS, lambda t: t.flatten(0, 1))
        more["offsets"] = torch.tensor([0, 5, 10])
    names = [k for k, v in inputs.items() if is_float(v)]
    fixed = {k: v for k, v in inputs.items() if k not in names} | more

    def function(*leaves: Tensor) -> tuple[Tensor, Tensor]:
        return scan(dict(zip(names, leaves, strict=True)), **fixed)

    assert torch.autograd.gradcheck(function, [inputs[k].requires_grad_() for k in names])


@pytest.mark.parametrize(
    ("sizes", "segment"),
    [
        pytest.param((2, 0, 5, 3), 16, id="no steps"),
        pytest.param((0, 4, 5, 3), 16, id="no sequences"),
        pytest.param((1, 4, 0, 3), 16, id="no channels"),
        pytest.param((1, 1, 1, 1), 4, id="ones"),
        pytest.param((2, 63, 16, 5), 8, id="63 steps"),
        pytest.param((1, 257, 70, 16), 16, id="257 steps, channels padded"),
        pytest.param((3, 33, 96, 64), 32, id="64 states"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_cpu_as_good_as_eager(
    sizes: tuple[int, int, int, int], segment: int, reverse: bool
) -> None:
    assert_as_good_as_eager(make_inputs(*sizes), "cpu", segment=segment, reverse=reverse)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize(
    ("dtype", "left_out", "segment"),
    [
        (torch.float32, (), 4),
        (torch.bfloat16, ("D", "z", "delta_bias", "initial_state"), 16),
        (torch.float16, ("D", "initial_state"), 2),
    ],
    ids=["float32, all", "bfloat16, plain", "float16, gated"],
)
def test_kernels_as_good_as_eager(
    dtype: torch.dtype, left_out: tuple[str, ...], segment: int, impl: str
) -> None:
    inputs = {k: v for k, v in make_inputs(2, 19, 6, 3, dtype).items() if k not in left_out}
    perm = torch.stack([torch.arange(19).flip(0), torch.arange(19).roll(5)])
    assert_as_good_as_eager(inputs, impl, perm=perm, reverse=True, segment=segment)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("states", "segment"), [(16, 16), (64, 8), (5, 32)])
def test_triton_on_a_gpu(states: int, segment: int, dtype: torch.dtype) -> None:
    inputs = make_inputs(3, 75, 100, states, dtype, "cuda")
    assert_as_good_as_eager(inputs, "triton", segment=segment)
    runs = [values_and_gradients(inputs, impl="triton", segment=segment) for _ in range(2)]
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])


@pytest.mark.parametrize(
    ("impl", "reverse"),
    [("reference", False), ("reference", True), ("cpu", False), ("cpu", True)]
    + [("triton", True)] * ("triton" in KERNELS),
)
def test_ragged_is_looped_dense(impl: str, reverse: bool) -> None:
    lengths = [0, 9, 1, 0] if impl == "triton" else [0, 9, 1, 0, 50]
    parts = [make_inputs(1, length, 6, 3) for length in lengths]
    shared = {k: parts[0][k] for k in ("A", "D", "delta_bias", "delta_softplus")}
    parts = [part | shared for part in parts]
    ragged = dict(shared)
    for name in ("u", "delta", "B", "C", "z"):
        ragged[name] = torch.cat([part[name][0] for part in parts])
    ragged["initial_state"] = torch.cat([part["initial_state"] for part in parts])
    ragged["offsets"] = torch.tensor([0, *lengths]).cumsum(0)
    options: dict[str, Any] = {"impl": impl, "reverse": reverse, "segment": 4}
    y, last = scan(ragged, **options)
    alone = [scan(part, **options) for part in parts]
    torch.testing.assert_close(y, torch.cat([y[0] for y, _ in alone]))
    torch.testing.assert_close(last, torch.cat([last for _, last in alone]))
    if impl != "reference":
        assert torch.equal(y, torch.cat([y[0] for y, _ in alone]))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_reverse_is_a_flip_and_perm_a_gather(impl: str) -> None:
    inputs = make_inputs(2, 37, 18, 4)
    flipped = change(inputs, ROWS, lambda t: t.flip(1))
    y, last = scan(inputs, reverse=True, impl=impl)
    ahead, state = scan(flipped, impl=impl)
    torch.testing.assert_close(y, ahead.flip(1))
    torch.testing.assert_close(last, state)
    perm = torch.arange(37).flip(0).expand(2, -1)
    torch.testing.assert_close(scan(inputs, perm=perm, impl=impl)[0], ahead.flip(1))


def test_batch_mates_change_nothing() -> None:
    inputs = make_inputs(3, 40, 18, 4)
    own = (*ROWS, "initial_state")
    alone = scan(change(inputs, own, lambda t: t[1:2]), impl="cpu")
    broken = change(inputs, own, lambda t: t.clone())
    for name in set(own) & set(broken):
        broken[name][0], broken[name][2] = math.nan, 1e3
    for got, want in zip(scan(broken, impl="cpu"), alone, strict=True):
        assert torch.equal(got[1:2], want)


@pytest.mark.parametrize("impl", KERNELS)
def test_same_bits_again(impl: str) -> None:
    inputs = make_inputs(1, 10, 6, 3)
    first, again = (values_and_gradients(inputs, impl=impl, segment=8) for _ in range(2))
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_same_bits_with_one_thread() -> None:
    inputs = make_inputs(3, 70, 200, 16)
    many = values_and_gradients(inputs, impl="cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = values_and_gradients(inputs, impl="cpu")
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(many[k], single[k]) for k in many)


def test_double_backward_is_refused() -> None:
    inputs = make_inputs(1, 5, 3, 2)
    u = inputs["u"].requires_grad_()
    (grad,) = torch.autograd.grad(scan(inputs, impl="cpu")[0].square().sum(), u, create_graph=True)
    with pytest.raises(NotImplementedError, match="local_bidirectional_scan must be differentia"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    dtype = torch.bfloat16 if impl == "cpu" else torch.float32
    inputs = change(make_inputs(2, 3, 3, 2, dtype), ROWS, lambda t: t.flatten(0, 1))
    tensors = [v.requires_grad_() for v in inputs.values() if is_float(v)]
    # so short that every kept state is written: opcheck compares them
    perm, offsets = torch.tensor([1, 0, 2, 2, 0, 1]), torch.tensor([0, 3, 6])
    check = torch.library.opcheck
    check(local_bidirectional_scan_fwd, (*tensors, perm, offsets, True, False, 2, impl))
    if impl == "cpu":
        plain = (*tensors[:5], None, None, None, None, None)
        check(local_bidirectional_scan_fwd, (*plain, offsets, False, True, 16, impl))


def test_compiles_without_a_break() -> None:
    inputs = make_inputs(2, 6, 3, 2)
    inputs["u"].requires_grad_()
    compiled = torch.compile(
        local_bidirectional_scan, fullgraph=True, backend="aot_eager", dynamic=True
    )
    results = []
    for function in (local_bidirectional_scan, compiled):
        y, last = function(**inputs, return_last_state=True, segment=4)
        results.append([y, last, *torch.autograd.grad(y.sum() + last.sum(), inputs["u"])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"segment": 3}, ValueError, r"segment must be one of \(1, 2, 4, 8, 16, 32\), got 3"),
        ({"segment": 64}, ValueError, "segment must be one of .* got 64"),
        ({"delta": torch.ones(1, 3, 3)}, ValueError, r"delta must be \(B, L, D\) with D = 2"),
        ({"A": torch.ones(2, 2) * 1j}, TypeError, "A must be real floating point"),
        ({"perm": torch.tensor([[0, 3, 1]])}, ValueError, "perm must hold rows 0 to 2 .* got 3"),
    ],
    ids=["three", "large", "delta", "complex", "perm"],
)
def test_errors(changes: Inputs, error: type[Exception], message: str, impl: str) -> None:
    inputs = make_inputs(1, 3, 2, 2) | {"impl": impl} | changes
    with pytest.raises(error, match=message):
        local_bidirectional_scan(**inputs)


def test_kernel_refuses_float64() -> None:
    with pytest.raises(TypeError, match="impl='cpu' must get float16, bfloat16 or float32"):
        local_bidirectional_scan(**make_inputs(1, 3, 2, 2, torch.float64), impl="cpu")

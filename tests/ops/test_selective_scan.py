"""Selective scan: hand case, laws, compiled loops against the reference in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops._selective_scan import selective_scan_fwd
from pcmamba.ops.selective_scan import selective_scan

EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7, torch.float16: 2**-10}
# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
ROWS = ("u", "delta", "B", "C", "z", "perm")

Inputs = dict[str, Any]


def make_inputs(
    batch: int, length: int, channels: int, states: int, dtype: torch.dtype = torch.float32
) -> Inputs:
    """Every argument of a scan; the parameters stay float32 where `dtype` is narrower."""
    draw = torch.Generator().manual_seed(length * 1000 + channels * 10 + states)
    wide = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int, like: torch.dtype = wide) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(like)

    return {
        "u": normal(batch, length, channels, like=dtype),
        "delta": normal(batch, length, channels, like=dtype),
        "A": -torch.rand(channels, states, generator=draw).to(wide) * 4,
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
    result = selective_scan(**inputs, return_last_state=True, **more)
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
        [w.to(t) for w, t in zip(weights, (y, last), strict=True)],
        materialize_grads=True,  # without steps the reference reads nothing but the state
    )
    return {"y": y.detach(), "last_state": last.detach()} | dict(zip(names, grads, strict=True))


def to_double(inputs: Inputs) -> Inputs:
    return {k: v.double() if is_float(v) else v for k, v in inputs.items()}


def largest(tensor: Tensor) -> Tensor:
    return tensor.abs().max()


def assert_as_good_as_eager(inputs: Inputs, impl: str, size: Any = largest, **more: Any) -> None:
    """Error to float64 of every value and gradient at most twice eager's, and 4 eps."""
    actual = values_and_gradients(inputs, impl=impl, **more)
    eager = values_and_gradients(inputs, impl="reference", **more)
    truth = values_and_gradients(to_double(inputs), impl="reference", **more)
    for name, exact in truth.items():
        assert actual[name].dtype == eager[name].dtype, name
        assert actual[name].shape == exact.shape, name
        if exact.numel():
            allowed = 2 * size(eager[name].double() - exact)
            allowed += 4 * EPS[actual[name].dtype] * size(exact)
            assert size(actual[name].double() - exact) <= allowed, name


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
@pytest.mark.parametrize(
    ("reverse", "y", "last"),
    [(False, (1.5, 9.5, 9.625), 8.125), (True, (4.25, 12.0, 7.5), 3.75)],
    ids=["forward", "reverse"],
)
def test_three_steps_by_hand(impl: str, reverse: bool, y: tuple[float, ...], last: float) -> None:
    # decays 1/2, 1/4, 1/2; forward states 1, 1/4 + 4, 4.25/2 + 6; reverse 5.5/2 + 1, 6/4 + 4, 6
    inputs = {
        "u": column(1, 2, 3),
        "delta": column(1, 2, 1),
        "A": torch.tensor([[-math.log(2)]]),
        "B": column(1, 1, 2),
        "C": column(1, 2, 1),
        "D": torch.tensor([0.5]),
    }
    actual, state = scan(inputs, reverse=reverse, impl=impl)
    torch.testing.assert_close(actual, column(*y))
    torch.testing.assert_close(state, torch.tensor([[[last]]]))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_steps_and_gate_by_hand(impl: str) -> None:
    # one step from 0 with B = C = 1: y = softplus(v) u silu(z), with v = u = z
    v = torch.tensor([-100.0, -7.0, 0.0, 3.0, 19.9, 20.1, 80.0])
    exact = v.double()
    steps = torch.where(exact > 20, exact, torch.log1p(torch.exp(exact.clamp(max=20))))
    want = steps * exact * exact / (1 + torch.exp(-exact))
    one = torch.ones(7, 1, 1)
    inputs = {"u": v.view(7, 1, 1), "delta": v.view(7, 1, 1), "B": one, "C": one}
    inputs |= {"A": -torch.ones(1, 1), "z": v.view(7, 1, 1), "delta_softplus": True}
    y, _ = scan(inputs, impl=impl)
    torch.testing.assert_close(y.flatten().double(), want, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("options", ["plain", "all", "ragged"])
def test_gradcheck(options: str) -> None:
    inputs = make_inputs(2, 4, 2, 2, torch.float64)
    more: Inputs = {}
    if options == "plain":
        inputs = {k: inputs[k] for k in ("u", "delta", "A", "B", "C")}
    else:
        more = {"reverse": True, "perm": torch.tensor([[2, 0, 3, 1], [0, 3, 1, 2]])}
    if options == "ragged":
        inputs = change(inputs | more, ROWS, lambda t: t.flatten(0, 1))
        more = {"offsets": torch.tensor([0, 4, 8]), "reverse": True, "perm": inputs.pop("perm")}
        inputs.pop("reverse")
    names = [k for k, v in inputs.items() if is_float(v)]
    fixed = {k: v for k, v in inputs.items() if k not in names} | more

    def function(*leaves: Tensor) -> tuple[Tensor, Tensor]:
        return scan(dict(zip(names, leaves, strict=True)), **fixed)

    assert torch.autograd.gradcheck(function, [inputs[k].requires_grad_() for k in names])


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((2, 0, 5, 3), id="no steps"),
        pytest.param((0, 4, 5, 3), id="no sequences"),
        pytest.param((1, 4, 0, 3), id="no channels"),
        pytest.param((1, 1, 1, 1), id="ones"),
        pytest.param((2, 63, 16, 5), id="63 steps"),
        pytest.param((1, 257, 70, 16), id="257 steps, channels padded"),
        pytest.param((3, 33, 96, 64), id="64 states"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_cpu_as_good_as_eager(sizes: tuple[int, int, int, int], reverse: bool) -> None:
    assert_as_good_as_eager(make_inputs(*sizes), "cpu", reverse=reverse)


@pytest.mark.parametrize(
    "left_out",
    [("D", "z", "delta_bias", "initial_state", "delta_softplus"), ("z",), ("D", "delta_bias")],
    ids=["plain", "no gate", "no skip, no bias"],
)
def test_cpu_without_options(left_out: tuple[str, ...]) -> None:
    inputs = {k: v for k, v in make_inputs(2, 40, 24, 4).items() if k not in left_out}
    inputs["delta"] = inputs["delta"].abs()
    assert_as_good_as_eager(inputs, "cpu")


@pytest.mark.skipif("triton" not in KERNELS, reason="Triton does not interpret here")
@pytest.mark.parametrize(
    ("dtype", "left_out"),
    [(torch.float32, ()), (torch.bfloat16, ("D", "z", "delta_bias", "initial_state"))],
    ids=["float32, all", "bfloat16, plain"],
)
def test_triton_as_good_as_eager(dtype: torch.dtype, left_out: tuple[str, ...]) -> None:
    inputs = {k: v for k, v in make_inputs(2, 19, 18, 3, dtype).items() if k not in left_out}
    perm = torch.stack([torch.arange(19).flip(0), torch.arange(19).roll(5)])
    assert_as_good_as_eager(inputs, "triton", perm=perm, reverse=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cpu_in_narrow_types(dtype: torch.dtype) -> None:
    inputs = make_inputs(2, 63, 20, 8, dtype)
    assert_as_good_as_eager(inputs, "cpu")
    assert scan(inputs)[0].dtype == dtype
    assert scan(inputs)[1].dtype == torch.float32


def test_cpu_reads_strided_slices() -> None:
    wide = make_inputs(2, 40, 64, 16)
    sliced = change(wide, ("u", "delta", "z"), lambda t: t[..., 16:48])
    sliced = change(sliced, ("A", "D", "delta_bias"), lambda t: t[:32])
    sliced = change(sliced, ("initial_state",), lambda t: t[:, :32])
    every_other = change(sliced, ("u", "B"), lambda t: t.repeat_interleave(2, -1)[..., ::2])
    whole = {k: v.clone() if isinstance(v, Tensor) else v for k, v in sliced.items()}
    want = values_and_gradients(whole, impl="cpu")
    for inputs in (sliced, every_other):
        got = values_and_gradients(inputs, impl="cpu")
        assert all(torch.equal(got[k], want[k]) for k in want)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_reverse_is_a_flip_of_forward(impl: str) -> None:
    inputs = make_inputs(2, 37, 18, 4)
    flipped = change(inputs, ROWS, lambda t: t.flip(1))
    back = values_and_gradients(inputs, reverse=True, impl=impl)
    ahead = values_and_gradients(flipped, impl=impl)
    ahead_y = scan(flipped, impl=impl)[0].flip(1)
    exact = {"rtol": 0, "atol": 0} if impl == "cpu" else {}  # torch's exp depends on the position
    torch.testing.assert_close(back["y"], ahead_y, **exact)
    torch.testing.assert_close(back["last_state"], ahead["last_state"], **exact)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_ragged_is_looped_dense(impl: str, reverse: bool) -> None:
    lengths = [0, 35, 1, 0, 64]
    parts = [make_inputs(1, length, 18, 4) for length in lengths]
    shared = {k: parts[0][k] for k in ("A", "D", "delta_bias", "delta_softplus")}
    parts = [part | shared for part in parts]
    ragged = dict(shared)
    for name in ("u", "delta", "B", "C", "z"):
        ragged[name] = torch.cat([part[name][0] for part in parts])
    ragged["initial_state"] = torch.cat([part["initial_state"] for part in parts])
    ragged["offsets"] = torch.tensor([0, *lengths]).cumsum(0)
    y, last = scan(ragged, impl=impl, reverse=reverse)
    alone = [scan(part, impl=impl, reverse=reverse) for part in parts]
    assert torch.equal(y, torch.cat([y[0] for y, _ in alone]))
    assert torch.equal(last, torch.cat([last for _, last in alone]))
    assert_as_good_as_eager(ragged, "cpu", reverse=reverse)


def test_no_sequences_in_a_ragged_batch() -> None:
    inputs = change(make_inputs(1, 0, 5, 3), ROWS, lambda t: t[0])
    inputs = change(inputs, ("initial_state",), lambda t: t[:0])
    for impl in ("reference", "cpu"):
        y, last = scan(inputs, offsets=torch.zeros(1, dtype=torch.int64), impl=impl)
        assert y.shape == (0, 5)
        assert last.shape == (0, 5, 3)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("cut", [1, 32, 45])
def test_chunks_are_the_whole(cut: int, reverse: bool) -> None:
    inputs = make_inputs(2, 70, 18, 4)
    whole = values_and_gradients(inputs, reverse=reverse)
    start = inputs["initial_state"].requires_grad_()
    chunks = [change(inputs, ROWS, part) for part in (lambda t: t[:, :cut], lambda t: t[:, cut:])]
    state, ys = start, {}
    for i in (1, 0) if reverse else (0, 1):
        ys[i], state = scan(chunks[i] | {"initial_state": state}, reverse=reverse)
    y = torch.cat([ys[0], ys[1]], 1)
    assert torch.equal(y, whole["y"])
    assert torch.equal(state, whole["last_state"])
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(t.shape, generator=draw, dtype=torch.float64) for t in (y, state)]
    (grad,) = torch.autograd.grad([y, state], start, [w.float() for w in weights])
    torch.testing.assert_close(grad, whole["initial_state"])


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_perm_is_gather_scan_scatter(impl: str, reverse: bool) -> None:
    inputs = make_inputs(3, 40, 18, 4)
    draw = torch.Generator().manual_seed(0)
    perm = torch.stack([torch.randperm(40, generator=draw) for _ in range(3)])

    def gather(rows: Tensor) -> Tensor:
        return rows.gather(1, perm[:, :, None].expand_as(rows))

    got = values_and_gradients(inputs, perm=perm, reverse=reverse, impl=impl)
    y, last = scan(change(inputs, ROWS, gather), reverse=reverse, impl=impl)
    exact = {"rtol": 0, "atol": 0} if impl == "cpu" else {}
    torch.testing.assert_close(gather(got["y"]), y, **exact)
    torch.testing.assert_close(got["last_state"], last, **exact)
    assert_as_good_as_eager(inputs, "cpu", perm=perm, reverse=reverse)


def test_batch_mates_change_nothing() -> None:
    inputs = make_inputs(3, 70, 18, 4)
    own = (*ROWS, "initial_state")
    alone = change(inputs, own, lambda t: t[1:2])
    broken = change(inputs, own, lambda t: t.clone())
    for name in own:
        if name in broken:
            broken[name][0] = math.nan
            broken[name][2] = 1e3
    for batch in (inputs, broken):
        y, last = scan(batch, impl="cpu")
        assert torch.equal(y[1:2], scan(alone, impl="cpu")[0])
        assert torch.equal(last[1:2], scan(alone, impl="cpu")[1])
    leaves = [broken["B"].requires_grad_(), alone["B"].requires_grad_()]
    grads = [
        torch.autograd.grad(scan(batch, impl="cpu")[0].sum(), leaf)[0]
        for batch, leaf in zip((broken, alone), leaves, strict=True)
    ]
    assert torch.equal(grads[0][1:2], grads[1])


def test_same_bits_again_and_with_one_thread() -> None:
    inputs = make_inputs(3, 70, 200, 16)
    first, again = (values_and_gradients(inputs, impl="cpu") for _ in range(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = values_and_gradients(inputs, impl="cpu")
    finally:
        torch.set_num_threads(threads)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, single[name]), name


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_input_propagates(impl: str, value: float) -> None:
    inputs = {k: v for k, v in make_inputs(1, 40, 18, 4).items() if k != "z"}
    inputs["u"][0, 10, 3] = value
    y, last = scan(inputs, impl=impl)
    assert y[0, :10].isfinite().all()
    assert not y[0, 10:, 3].isfinite().any()
    assert not last[0, 3].isfinite().any()
    assert y[0, :, :3].isfinite().all()


@pytest.mark.parametrize("delta", [1e4, 100.0, -10.0, -25.0])
def test_steps_far_from_zero(delta: float) -> None:
    # a large step forgets everything, one below 0 grows: here by e^25 to e^75 over three steps
    one = torch.ones(1, 3, 1)
    inputs = {"u": one, "delta": delta * one, "A": -torch.ones(1, 1), "B": one, "C": one}
    want = scan(to_double(inputs))
    for actual, exact in zip(scan(inputs, impl="cpu"), want, strict=True):
        torch.testing.assert_close(actual.double(), exact, rtol=1e-5, atol=0)


def test_gradient_of_the_last_state_alone() -> None:
    inputs = make_inputs(2, 40, 18, 4)
    grads = []
    for impl in ("reference", "cpu"):
        u = inputs["u"].detach().requires_grad_()
        grads += torch.autograd.grad(scan(inputs | {"u": u}, impl=impl)[1].sum(), u)
    torch.testing.assert_close(grads[1], grads[0])


def test_gradient_of_the_last_state_is_left_alone() -> None:
    inputs = make_inputs(2, 5, 16, 1)  # a layout in which the loops could work in place
    u = inputs["u"].requires_grad_()
    weight = torch.ones(2, 16, 1)
    torch.autograd.grad(scan(inputs, impl="cpu")[1], u, weight)
    assert torch.equal(weight, torch.ones(2, 16, 1))


def test_only_y_without_last_state() -> None:
    inputs = make_inputs(1, 3, 2, 2)
    assert isinstance(selective_scan(**inputs), Tensor)


def test_float64_takes_the_reference() -> None:
    inputs = make_inputs(1, 5, 3, 2)
    y, last = scan(inputs | {"A": inputs["A"].double()})
    assert y.dtype == torch.float32
    assert last.dtype == torch.float64


def test_double_backward_is_refused() -> None:
    inputs = make_inputs(1, 5, 3, 2)
    u = inputs["u"].requires_grad_()
    y, _ = scan(inputs, impl="cpu")
    (grad,) = torch.autograd.grad(y.square().sum(), u, create_graph=True)
    with pytest.raises(NotImplementedError, match="selective_scan must be differentiated once"):
        grad.sum().backward()
    y, _ = scan(inputs, impl="reference")
    (grad,) = torch.autograd.grad(y.square().sum(), u, create_graph=True)
    grad.sum().backward()
    assert u.grad is not None


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    dtype = torch.bfloat16 if impl == "cpu" else torch.float32
    inputs = change(make_inputs(2, 3, 3, 2, dtype), ROWS, lambda t: t.flatten(0, 1))
    tensors = [v.requires_grad_() for v in inputs.values() if is_float(v)]
    # so short that every kept state is written: opcheck compares them
    perm, offsets = torch.tensor([1, 0, 2, 2, 0, 1]), torch.tensor([0, 3, 6])
    torch.library.opcheck(selective_scan_fwd, (*tensors, perm, offsets, True, False, impl))
    plain = (*tensors[:5], None, None, None, None, None)
    torch.library.opcheck(selective_scan_fwd, (*plain, offsets, False, True, impl))


@pytest.mark.parametrize("form", ["dense", "ragged"])
def test_compiles_without_a_break(form: str) -> None:
    inputs = make_inputs(2, 6, 3, 2)
    if form == "ragged":
        inputs = change(inputs, ROWS, lambda t: t.flatten(0, 1))
        inputs["offsets"] = torch.tensor([0, 4, 12])
        inputs["perm"] = torch.tensor([3, 1, 0, 2, *range(8)])
    inputs["u"].requires_grad_()
    compiled = torch.compile(selective_scan, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for function in (selective_scan, compiled):
        y, last = function(**inputs, return_last_state=True)
        results.append([y, last, *torch.autograd.grad(y.sum() + last.sum(), inputs["u"])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"delta": torch.ones(1, 3, 3)}, ValueError, r"delta must be \(B, L, D\) with D = 2"),
        ({"A": torch.ones(3, 2)}, ValueError, r"A must be \(D, S\) with D = 2 from u"),
        ({"B": torch.ones(1, 3, 5)}, ValueError, r"B must be \(B, L, S\) with S = 2 from A"),
        ({"z": torch.ones(3, 2)}, ValueError, r"z must be \(B, L, D\)"),
        ({"initial_state": torch.ones(2, 2, 2)}, ValueError, r"initial_state must be \(B, D, S\)"),
        ({"u": torch.ones(1, 3, 2, dtype=torch.int64)}, TypeError, "u must be real floating point"),
        ({"A": torch.ones(2, 2) * 1j}, TypeError, "A must be real floating point"),
        ({"perm": torch.ones(1, 3)}, TypeError, "perm must be int64, got torch.float32"),
        ({"perm": torch.tensor([[0, 3, 1]])}, ValueError, "perm must hold rows 0 to 2 .* got 3"),
        ({"perm": torch.tensor([[0, 2, 2]])}, ValueError, "perm must hold each row .* got no 1"),
        ({"A": torch.ones(2, 2).double(), "impl": "cpu"}, TypeError, "impl='cpu' must get float16"),
        ({"impl": "fast"}, ValueError, "impl must be one of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_errors(changes: Inputs, error: type[Exception], message: str, impl: str) -> None:
    inputs = make_inputs(1, 3, 2, 2) | {"impl": impl} | changes
    with pytest.raises(error, match=message):
        selective_scan(**inputs)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("offsets", "error", "message"),
    [
        (torch.tensor([0, 2]), ValueError, "offsets must rise from 0 to 3"),
        (torch.tensor([0, 3, 2, 3]), ValueError, "offsets must rise from 0 to 3"),
        (torch.tensor([0, 1, 3]), ValueError, "initial_state must have one state per sequence, 2"),
        (torch.tensor([0.0, 3.0]), TypeError, "offsets must be int64, got torch.float32"),
    ],
    ids=["short", "falling", "states", "float"],
)
def test_errors_of_ragged_batches(
    offsets: Tensor, error: type[Exception], message: str, impl: str
) -> None:
    inputs = change(make_inputs(1, 3, 2, 2), ROWS, lambda t: t[0])
    if "states" not in message and "one state" not in message:
        inputs.pop("initial_state")
    with pytest.raises(error, match=message):
        selective_scan(**inputs, offsets=offsets, impl=impl)


# The special function unit's powers of 2 are off by up to 2^-22: a single element may be worse than
# eager's, the whole may not.
NORM = torch.linalg.vector_norm


def on_gpu(inputs: Inputs) -> Inputs:
    return {k: v.cuda() if isinstance(v, Tensor) else v for k, v in inputs.items()}


def make_perm(batch: int, length: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.stack([torch.randperm(length, generator=draw) for _ in range(batch)]).cuda()


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
@pytest.mark.parametrize(
    ("sizes", "dtype", "reverse"),
    [
        pytest.param((2, 100, 96, 16), torch.bfloat16, False, id="bfloat16"),
        pytest.param((2, 63, 64, 16), torch.float32, True, id="float32, reverse"),
        pytest.param((2, 70, 70, 16), torch.float16, True, id="float16, reverse"),
        pytest.param((2, 37, 37, 3), torch.bfloat16, False, id="odd, 3 states"),
        pytest.param((1, 41, 48, 8), torch.float32, False, id="8 states"),
        pytest.param((1, 41, 48, 33), torch.float32, True, id="33 states"),
        pytest.param((1, 41, 48, 64), torch.bfloat16, False, id="64 states"),
        pytest.param((1, 1, 1, 1), torch.float32, False, id="ones"),
        pytest.param((2, 0, 5, 3), torch.float32, False, id="no steps"),
        pytest.param((0, 4, 5, 3), torch.float32, False, id="no sequences"),
    ],
)
def test_gpu_as_good_as_eager(
    sizes: tuple[int, int, int, int], dtype: torch.dtype, reverse: bool, impl: str
) -> None:
    assert_as_good_as_eager(on_gpu(make_inputs(*sizes, dtype)), impl, NORM, reverse=reverse)


@pytest.mark.gpu
@pytest.mark.parametrize("left_out", [("z",), ("D", "z", "delta_bias", "initial_state")])
def test_nvrtc_without_options(left_out: tuple[str, ...]) -> None:
    inputs = {k: v for k, v in make_inputs(2, 40, 64, 16).items() if k not in left_out}
    assert_as_good_as_eager(on_gpu(inputs), "nvrtc", NORM)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["u", "delta", "B", "z"])
def test_nvrtc_takes_mixed_types(name: str) -> None:
    inputs = on_gpu(make_inputs(2, 40, 64, 16, torch.bfloat16))
    assert_as_good_as_eager(inputs | {name: inputs[name].float()}, "nvrtc", NORM)


@pytest.mark.gpu
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_nvrtc_ragged_with_perm(cut: bool, reverse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if cut:
        from pcmamba.kernels import _scan_branch_nvrtc

        monkeypatch.setattr(_scan_branch_nvrtc, "FEWEST_BLOCKS", 10**5)
        monkeypatch.setattr(_scan_branch_nvrtc, "SHORTEST_PART", 32)
    lengths = [0, 135, 1, 0, 164]
    inputs = change(make_inputs(1, sum(lengths), 64, 16), ROWS, lambda t: t[0])
    inputs["initial_state"] = torch.randn(5, 64, 16, generator=torch.Generator().manual_seed(1))
    offsets = torch.tensor([0, *lengths]).cumsum(0).cuda()
    perm = torch.cat([make_perm(1, length)[0] for length in lengths])
    assert_as_good_as_eager(
        on_gpu(inputs), "nvrtc", NORM, offsets=offsets, perm=perm, reverse=reverse
    )


@pytest.mark.gpu
def test_nvrtc_reads_strided_slices() -> None:
    inputs = make_inputs(2, 40, 65, 17)
    inputs = change(inputs, ("u", "delta", "z", "B", "C"), lambda t: t[..., 1:])
    inputs = change(inputs, ("A",), lambda t: t[1:, 1:])
    inputs = change(inputs, ("D", "delta_bias"), lambda t: t[1:])
    inputs = change(inputs, ("initial_state",), lambda t: t[:, 1:, 1:])
    assert_as_good_as_eager(on_gpu(inputs), "nvrtc", NORM)


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(3, 70, 200, 16), (1, 4000, 64, 16)], ids=["short", "cut"])
def test_nvrtc_same_bits_again(shape: tuple[int, int, int, int]) -> None:
    inputs = on_gpu(make_inputs(*shape, torch.bfloat16))
    first, again = (values_and_gradients(inputs, impl="nvrtc") for _ in range(2))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


@pytest.mark.gpu
def test_nvrtc_batch_mates_change_nothing() -> None:
    inputs = on_gpu(make_inputs(3, 70, 64, 16))
    own = (*ROWS, "initial_state")
    alone = change(inputs, own, lambda t: t[1:2])
    broken = change(inputs, own, lambda t: t.clone())
    for name in own:
        if name in broken:
            broken[name][0] = math.nan
    assert torch.equal(scan(broken, impl="nvrtc")[0][1:2], scan(alone, impl="nvrtc")[0])


@pytest.mark.gpu
def test_nvrtc_passes_opcheck() -> None:
    inputs = on_gpu(make_inputs(1, 20, 32, 4))
    flat = change(inputs, ROWS, lambda t: t[0])
    names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
    tensors = [flat[name].requires_grad_() for name in names]
    offsets = torch.tensor([0, 20], device="cuda")
    torch.library.opcheck(selective_scan_fwd, (*tensors, None, offsets, True, False, "nvrtc"))


@pytest.mark.gpu
def test_nvrtc_beyond_31_bits() -> None:
    rows, channels, tail = 2**20 + 100, 2048, 100
    u = torch.randn(rows, channels, device="cuda", dtype=torch.bfloat16)
    assert u.numel() > 2**31
    B, C = torch.randn(2, rows, 4, device="cuda", dtype=torch.bfloat16)
    inputs = {"u": u, "delta": u, "A": -torch.ones(channels, 4, device="cuda"), "B": B, "C": C}
    inputs["delta_softplus"] = True
    whole = torch.tensor([0, rows - tail, rows], device="cuda")
    y, last = scan(inputs, offsets=whole, impl="nvrtc")
    end = {k: v[-tail:] if k in ROWS else v for k, v in inputs.items()}
    alone, alone_last = scan(end, offsets=torch.tensor([0, tail], device="cuda"), impl="nvrtc")
    assert torch.equal(y[-tail:], alone)
    assert torch.equal(last[1:], alone_last)


@pytest.mark.gpu
def test_nvrtc_refuses_more_states_than_it_holds() -> None:
    with pytest.raises(NotImplementedError, match=r"A must have at most 64 states .* got 65"):
        scan(on_gpu(make_inputs(1, 3, 2, 65)), impl="nvrtc")

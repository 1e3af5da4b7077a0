"""Spiking neurons: hand case, another library's vectors, laws, kernels against the reference."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops._surrogate import DEFAULT_ALPHA, slope
from pcmamba.ops.lif import lif, lif_fwd
from pcmamba.testing import shared_folder

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
CHECKS = (shared_folder() or Path("none")) / "spec" / "lif_checks.npz"
OPTIONS = [
    pytest.param({}, id="defaults"),
    pytest.param({"detach_reset": False, "v_reset": 0.1, "tau": 1.7}, id="attached, tau 1.7"),
    pytest.param({"v_reset": None, "detach_reset": False, "surrogate": "atan"}, id="soft, atan"),
    pytest.param({"decay_input": False, "v_reset": -0.2, "surrogate": "erf"}, id="no decay, erf"),
    pytest.param({"tau": 3.0, "surrogate": "triangle", "v_threshold": 0.7}, id="triangle"),
    pytest.param({"tau": math.inf, "decay_input": False, "v_reset": None}, id="no leak"),
]


def make_inputs(steps: int, *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Currents that make about a fifth of the neurons fire, and a membrane to start from."""
    draw = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(steps, *shape, generator=draw), torch.rand(shape, generator=draw) / 2


def run(x: Tensor, v0: Tensor, impl: str, **options: Any) -> list[Tensor]:
    """All results, then gradients of a weighted sum of them."""
    x, v0 = x.detach().requires_grad_(), v0.detach().requires_grad_()
    found = lif(x, v0, return_v=True, impl=impl, **options)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(part.shape, generator=draw).to(part) for part in found]
    return [part.detach() for part in found] + [*torch.autograd.grad(found, (x, v0), weights)]


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x = torch.tensor([[1.5], [1.5], [-1.0], [2.0]])
    hard = lif(x, return_v=True, impl=impl)
    assert hard.spikes.flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
    assert hard.v_seq.flatten().tolist() == [0.75, 0.0, -0.5, 0.75]
    assert hard.v_end.tolist() == [0.75]
    soft = lif(x, torch.tensor([0.5]), v_reset=None, return_v=True, impl=impl)
    assert soft.v_seq.flatten().tolist() == [0.0, 0.75, -0.125, 0.9375]
    assert lif(x, impl=impl).v_seq is None


@pytest.mark.skipif(not CHECKS.is_file(), reason="needs the shared reference outputs")
@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_bit_for_bit_as_spikingjelly(impl: str) -> None:
    checks = np.load(CHECKS)
    cases = json.loads(bytes(checks["params_json"]))
    assert len(cases) == 13
    names = ("tau", "v_threshold", "v_reset", "decay_input", "detach_reset", "alpha")
    for case, parameters in cases.items():
        x = torch.tensor(checks[f"{case}/x"], requires_grad=True)
        v0 = torch.tensor(checks[f"{case}/v0"]) if f"{case}/v0" in checks else None
        options = {name: parameters[name] for name in names if name in parameters}
        found = lif(x, v0, return_v=True, impl=impl, **options)
        assert np.array_equal(found.spikes.detach().numpy(), checks[f"{case}/spike"]), case
        assert np.array_equal(found.v_seq.detach().numpy(), checks[f"{case}/v"]), case
        (dx,) = torch.autograd.grad(found.spikes, x, torch.tensor(checks[f"{case}/grad_spike"]))
        allowed = 0.0 if impl == "reference" else 1e-6
        assert np.abs(dx.numpy() - checks[f"{case}/grad_x"]).max() <= allowed, case


@pytest.mark.parametrize("options", OPTIONS)
def test_bit_for_bit_as_spikingjelly_itself(options: dict[str, Any]) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
    classes = {"sigmoid": surrogate.Sigmoid, "atan": surrogate.ATan, "erf": surrogate.Erf}
    if options.get("surrogate") == "triangle":
        pytest.skip("spikingjelly's parabola is another one")
    chosen = options.get("surrogate", "sigmoid")
    defaults = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True}
    arguments = {**defaults, **{k: v for k, v in options.items() if k != "surrogate"}}
    node = neuron.LIFNode(
        **arguments, step_mode="m", surrogate_function=classes[chosen](DEFAULT_ALPHA[chosen])
    )
    x, _ = make_inputs(20, 50)
    theirs, ours = (x.clone().requires_grad_() for _ in range(2))
    wanted, found = node(theirs), lif(ours, **options)
    assert torch.equal(found.spikes, wanted)
    (dx,), (dx_wanted,) = (
        torch.autograd.grad(spikes, leaf, x)
        for spikes, leaf in ((found.spikes, ours), (wanted, theirs))
    )
    torch.testing.assert_close(dx, dx_wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("options", OPTIONS)
def test_kernels_give_the_bits_of_the_reference(options: dict[str, Any], impl: str) -> None:
    inputs = make_inputs(9, 7, 5)
    *values, dx, dv0 = run(*inputs, impl, **options)
    *wanted, dx_wanted, dv0_wanted = run(*inputs, "reference", **options)
    assert all(torch.equal(a, b) for a, b in zip(values, wanted, strict=True))
    assert 0.02 < float(values[0].mean()) < 0.5
    torch.testing.assert_close(dx, dx_wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dv0, dv0_wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("steps", [0, 1, 32, 33, 70])
def test_any_number_of_steps(steps: int, impl: str) -> None:
    x, v0 = make_inputs(steps, 3)
    for got, want in zip(run(x, v0, impl), run(x, v0, "reference"), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("shape", [(0,), (2, 0), (), (257,)], ids=str)
def test_any_shape_of_a_step(shape: tuple[int, ...], impl: str) -> None:
    x, v0 = make_inputs(3, *shape)
    for got, want in zip(run(x, v0, impl), run(x, v0, "reference"), strict=True):
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_inputs_have_float32_membranes(dtype: torch.dtype, impl: str) -> None:
    x, v0 = make_inputs(6, 40)
    narrow, wide = (run(part, v0, impl) for part in (x.to(dtype), x.to(dtype).float()))
    assert [part.dtype for part in narrow] == [dtype, *[torch.float32] * 2, dtype, torch.float32]
    assert all(torch.equal(a.float(), b) for a, b in zip(narrow[:3], wide[:3], strict=True))


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_chunks_give_the_bits_of_one_call(impl: str) -> None:
    x, _ = make_inputs(11, 30)
    whole = lif(x, tau=1.7, return_v=True, impl=impl)
    first = lif(x[:4], tau=1.7, return_v=True, impl=impl)
    second = lif(x[4:], first.v_end, tau=1.7, return_v=True, impl=impl)
    assert torch.equal(torch.cat([first.spikes, second.spikes]), whole.spikes)
    assert torch.equal(torch.cat([first.v_seq, second.v_seq]), whole.v_seq)
    assert torch.equal(second.v_end, whole.v_end)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_neighbours_change_nothing_and_bits_repeat(impl: str) -> None:
    x, v0 = make_inputs(5, 3, 10)
    alone = run(x[:, 1:2], v0[1:2], impl, surrogate="atan")
    x[:, 0], v0[2] = torch.nan, torch.inf
    together, again = (run(x, v0, impl, surrogate="atan") for _ in range(2))
    assert all(
        torch.equal(a, b) for a, b in zip(together, again, strict=True) if not a.isnan().any()
    )
    for part in range(3):
        axis = 0 if part == 1 else 1
        assert torch.equal(together[part].select(axis, 1), alone[part].select(axis, 0))


def test_strided_inputs_and_gradients() -> None:
    x, v0 = make_inputs(6, 40)
    wide = torch.zeros(40, 12)
    wide[:, ::2] = x.t()
    strided = wide[:, ::2].t().requires_grad_()
    one = torch.autograd.grad(lif(strided, v0).spikes.sum(), strided)[0]
    dense = x.requires_grad_()
    assert torch.equal(one, torch.autograd.grad(lif(dense, v0).spikes.sum(), dense)[0])


def test_nothing_but_the_input_is_kept() -> None:
    x, v0 = make_inputs(6, 40)
    kept: list[Tensor] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with hooks:
        lif(x.requires_grad_(), v0)
    assert sorted(t.numel() for t in kept) == [40, 240]


@pytest.mark.parametrize("surrogate", ["sigmoid", "atan", "triangle", "erf"])
def test_slopes_are_derivatives_of_a_step_made_smooth(surrogate: str) -> None:
    alpha = 1.3
    u = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    total = torch.trapezoid(slope(u, surrogate, alpha), u)
    assert abs(float(total) - 1.0) < (2e-2 if surrogate == "atan" else 1e-6)
    z = torch.tensor([-0.5, 0.1, 0.7], dtype=torch.float64, requires_grad=True)
    smooth = {
        "sigmoid": torch.sigmoid(alpha * z),
        "atan": torch.atan(torch.pi / 2 * alpha * z) / torch.pi,
        "triangle": alpha * z - alpha**2 / 2 * z * z.abs(),
        "erf": torch.erf(alpha * z) / 2,
    }[surrogate]
    (wanted,) = torch.autograd.grad(smooth.sum(), z)
    torch.testing.assert_close(slope(z.detach(), surrogate, alpha), wanted)


@pytest.mark.parametrize("decay_input", [False, True])
def test_gradcheck_where_no_spike_is_near(decay_input: bool) -> None:
    x, v0 = (part.double().requires_grad_() for part in make_inputs(4, 3))
    options = {"decay_input": decay_input, "tau": 1.7, "v_reset": 0.1}

    def membranes(x: Tensor, v0: Tensor) -> Tensor:
        return lif(x, v0, return_v=True, **options).v_seq

    assert (membranes(x, v0) - 1.0).abs().min() > 1e-3
    assert torch.autograd.gradcheck(membranes, (x, v0))


def test_double_backward_is_refused() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(lif(x).spikes.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="lif must be differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("return_v", [False, True])
def test_opcheck(return_v: bool, impl: str) -> None:
    x, v0 = (part.requires_grad_() for part in make_inputs(3, 4))
    for first in (v0, None):
        arguments = (x, first, 2.0, 1.0, 0.0, True, True, "sigmoid", 4.0, return_v, impl)
        torch.library.opcheck(lif_fwd, arguments)


def test_compiles_without_a_break() -> None:
    x, v0 = make_inputs(3, 4, 5)
    compiled = torch.compile(lif, fullgraph=True, backend="aot_eager", dynamic=True)
    results = []
    for function in (lif, compiled):
        leaf = x.detach().requires_grad_()
        found = function(leaf, v0, tau=3.0)
        results.append([found.spikes, found.v_end, *torch.autograd.grad(found.spikes.sum(), leaf)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.tensor(1.0)}, ValueError, r"x must be \(T, ...\), got a single number"),
        ({"v0": torch.zeros(3)}, ValueError, r"v0 must be \(4,\), as a step of x, got \(3,\)"),
        ({"x": torch.ones(2, 4, dtype=torch.int64)}, TypeError, "x must be real floating point"),
        ({"tau": 1.0}, ValueError, "tau must be above 1, got 1.0"),
        ({"tau": math.inf}, ValueError, "tau must be finite with decay_input, got inf"),
        ({"v_threshold": float("nan")}, ValueError, "v_threshold must be finite, got nan"),
        ({"v_reset": float("inf")}, ValueError, "v_reset must be finite, or None .* got inf"),
        ({"surrogate": "sigmoit"}, ValueError, "surrogate must be .*Did you mean 'sigmoid'"),
        ({"alpha": 0.0}, ValueError, "alpha must be positive and finite, got 0.0"),
        ({"impl": "cpu", "x": torch.ones(2, 4).double()}, TypeError, "impl='cpu' must get float16"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lif(**({"x": torch.ones(2, 4), "v0": torch.zeros(4)} | changes))


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_gpu_gives_the_same_spikes(options: dict[str, Any], impl: str) -> None:
    for steps, neurons in ((16, 1000), (70, 1000), (5, 333)):
        x, v0 = make_inputs(steps, neurons)
        wanted = run(x, v0, "reference", **options)
        found, again = (run(x.cuda(), v0.cuda(), impl, **options) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
        assert all(torch.equal(a.cpu(), b) for a, b in zip(found[:3], wanted[:3], strict=True))
        for a, b in zip(found[3:], wanted[3:], strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_beyond_two_to_the_31_elements() -> None:
    x = torch.zeros(5, (1 << 31) // 4, dtype=torch.float16, device="cuda")
    x[:, -3:] = 1.5
    spikes = lif(x).spikes
    assert spikes[:, -3:].float().cpu().equal(lif(x[:, -3:].float().cpu()).spikes)
    assert int(spikes[:, :-3].count_nonzero()) == 0

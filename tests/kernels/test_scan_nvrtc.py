"""The CUDA kernels of scans, emulated: values and gradients against the reference in float64."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.kernels import (
    _nvrtc,
    _scan_branch_nvrtc,
    bidirectional_nvrtc,
    selective_scan_nvrtc,
)
from pcmamba.ops.bidirectional_core import CoreBranch, bidirectional_core
from pcmamba.ops.selective_scan import selective_scan_reference
from tests.kernels.cuda_emulation import EmulatedKernel, has_compiler

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs g++")

ROWS = ("u", "delta", "B", "C", "z", "perm")


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def emulated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the kernels on the CPU, the threads of a block in either order."""

    def load(source: str, entry: str, signature: str, macros: Any, device: int | None) -> Any:
        kernel = EmulatedKernel(source, entry, signature, macros, request.param)

        def launch(grid: Any, threads: int, *values: Any, shared: int = 0) -> None:
            # Rows of any stride are passed by their address.
            plain = [v.data_ptr() if isinstance(v, Tensor) else v for v in values]
            kernel(grid, threads, *plain, shared=shared)

        return launch

    monkeypatch.setattr(_nvrtc, "load", functools.cache(load))


def make_inputs(lengths: list[int], channels: int, states: int) -> dict[str, Any]:
    """Every argument of a ragged scan in float32, rows strided."""
    draw = torch.Generator().manual_seed(channels * states)
    total = sum(lengths)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    wide = normal(total, 3 * channels + 2 * states + 1)[:, 1:]
    u, delta, z, B, C = wide.split([channels] * 3 + [states] * 2, -1)
    perm = torch.cat([torch.randperm(length, generator=draw) for length in lengths])
    return {
        "u": u,
        "delta": delta,
        "A": -torch.rand(channels, states, generator=draw) * 2,
        "B": B,
        "C": C,
        "D": normal(channels),
        "z": z,
        "delta_bias": normal(channels),
        "initial_state": normal(len(lengths), channels, states),
        "perm": perm,
        "offsets": torch.tensor([0, *lengths]).cumsum(0),
    }


def check_scan(inputs: dict[str, Any], reverse: bool) -> None:
    """Compare the launchers with the reference in float64."""
    floats = [k for k, v in inputs.items() if v is not None and v.is_floating_point()]
    exact = {k: v.double().requires_grad_() if k in floats else v for k, v in inputs.items()}
    want = selective_scan_reference(**exact, delta_softplus=True, reverse=reverse)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(t.shape, generator=draw) for t in want]
    leaves = [exact[k] for k in floats]
    grads = torch.autograd.grad(want, leaves, [w.double() for w in weights])
    y, last, states = selective_scan_nvrtc.selective_scan_fwd(
        **inputs, delta_softplus=True, reverse=reverse
    )
    found = selective_scan_nvrtc.selective_scan_bwd(
        *weights, *inputs.values(), states, delta_softplus=True, reverse=reverse
    )
    own = dict(zip(inputs, found, strict=False))
    for name, got, exactly in [
        ("y", y, want[0]),
        ("last_state", last, want[1]),
        *((k, own[k], g) for k, g in zip(floats, grads, strict=True)),
    ]:
        error = (got.double() - exactly).abs().max() / exactly.abs().max()
        assert error < 1e-5, (name, float(error))


@pytest.mark.parametrize(
    ("lengths", "channels", "states", "reverse"),
    [
        pytest.param([21, 0, 16], 37, 16, False, id="16 states"),
        pytest.param([9], 33, 3, True, id="3 states"),
        pytest.param([9], 16, 7, False, id="7 states"),
        pytest.param([9], 4, 20, True, id="20 states"),
        pytest.param([9], 4, 64, False, id="64 states"),
    ],
)
def test_scan(
    emulated: None, lengths: list[int], channels: int, states: int, reverse: bool
) -> None:
    check_scan(make_inputs(lengths, channels, states), reverse)


@pytest.mark.parametrize("many", [False, True], ids=["one channel", "two channels"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_scan_in_parts_without_a_gate(
    emulated: None, many: bool, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scan_branch_nvrtc, "FEWEST_BLOCKS", 10**4)
    monkeypatch.setattr(_scan_branch_nvrtc, "SHORTEST_PART", 16)
    monkeypatch.setattr(_scan_branch_nvrtc, "FEWEST_BLOCKS_OF_MANY", 0 if many else 10**9)
    inputs = make_inputs([50, 1, 37], 40, 16)
    check_scan(inputs | {"z": None, "perm": None}, reverse)


@pytest.mark.parametrize("many", [False, True], ids=["one channel", "two channels"])
@pytest.mark.parametrize("crossed", [False, True], ids=["one gate", "crossed"])
def test_core(emulated: None, many: bool, crossed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan_branch_nvrtc, "FEWEST_BLOCKS_OF_MANY", 0 if many else 10**9)
    draw = torch.Generator().manual_seed(0)
    offsets, width, size = torch.tensor([0, 19, 19, 24]), 34, 16

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw) / 2

    def branch(**flags: bool) -> CoreBranch:
        rows = (normal(24, width), normal(24, size), normal(24, size))
        parameters = (normal(width), normal(width, size), normal(width))
        return CoreBranch(normal(width, 4), normal(width), *rows, *parameters, **flags)

    x, z, perm = (
        normal(24, width),
        normal(24, width),
        torch.cat([torch.arange(19).roll(4), torch.arange(5)]),
    )
    pair = branch(), branch(reverse=not crossed, crossed=crossed)
    leaves = [t.double().requires_grad_() for t in (x, z, *(t for b in pair for t in b[:8]))]
    exact = [CoreBranch(*leaves[i : i + 8], *b[8:]) for i, b in zip((2, 10), pair, strict=True)]
    want = bidirectional_core(*leaves[:2], tuple(exact), perm=perm, offsets=offsets)
    grad = normal(24, width)
    wanted = [want, *torch.autograd.grad(want, leaves, grad.double())]
    for got, exactly in zip(core(x, z, pair, grad, perm, offsets), wanted, strict=True):
        assert (got.double() - exactly).abs().max() < 1e-5 * exactly.abs().max()


def core(
    x: Tensor,
    z: Tensor,
    pair: tuple[CoreBranch, CoreBranch],
    grad: Tensor,
    perm: Tensor,
    offsets: Tensor,
) -> list[Tensor]:
    """y and the gradients of x, z and both branches, by the launchers."""
    taps = [bidirectional_nvrtc.make_taps(b.conv_weight, b.conv_bias, b.reverse) for b in pair]
    crossed = pair[1].crossed
    groups = [(x, taps[:1]), (z, taps[1:])] if crossed else [(x, taps)]
    v = [
        u
        for source, own in groups
        for u in bidirectional_nvrtc.conv_fwd(source, own, perm, offsets)
    ]
    branches = [
        bidirectional_nvrtc.make_branch(
            u, b.delta, b.A_log, b.B, b.C, b.D, x if b.crossed else z, b.dt_bias, None, b.reverse
        )._replace(logarithm=True)
        for u, b in zip(v, pair, strict=True)
    ]
    out, y, states = bidirectional_nvrtc.core_fwd(branches, perm, offsets, True)
    first, second = bidirectional_nvrtc.core_bwd(grad, branches, y, states, perm, offsets)
    dx, dz, dtaps = second.gate if crossed else torch.zeros_like(x), first.gate, []
    du = [first.u, second.u]
    for i, (source, own) in enumerate(groups):
        part = du[i : i + 1] if crossed else du
        dsource, more = bidirectional_nvrtc.conv_bwd(part, source, own, perm, offsets)
        dx, dz = (dx + dsource, dz) if source is x else (dx, dz + dsource)
        dtaps += more
    grads = [
        [*taps, g.delta, g.B, g.C, g.bias, g.A, g.D]
        for taps, g in zip(dtaps, (first, second), strict=True)
    ]
    return [out, dx, dz, *grads[0], *grads[1]]

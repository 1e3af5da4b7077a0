"""Bidirectional core: what `bidirectional_scan` does between and around its matrix products."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._bidirectional import bidirectional_conv_fwd, bidirectional_core_fwd, pack
from pcmamba.ops.bidirectional_core import CoreBranch, bidirectional_core
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.selective_scan import selective_scan

EPS = {torch.float32: 2**-23, torch.bfloat16: 2**-7}
Inputs = tuple[Tensor, Tensor | None, tuple[CoreBranch, CoreBranch]]


def make_inputs(rows: tuple[int, ...], channels: int, dtype: torch.dtype, **second: bool) -> Inputs:
    draw = torch.Generator().manual_seed(channels)
    wide = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int, like: torch.dtype = dtype) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(like)

    def branch(**flags: bool) -> CoreBranch:
        return CoreBranch(
            normal(channels, 4, like=wide) / 2,
            normal(channels, like=wide),
            normal(*rows, channels),
            normal(*rows, 5),
            normal(*rows, 5),
            normal(channels, like=wide),
            normal(channels, 5, like=wide) / 2,
            normal(channels, like=wide),
            **flags,
        )

    x, z = normal(*rows, 2 * channels).chunk(2, -1)
    return x, z, (branch(), branch(**second))


def move(inputs: Inputs, function: Any) -> Inputs:
    x, z, branches = inputs
    first, second = (
        CoreBranch(*(function(v) if isinstance(v, Tensor) else v for v in b)) for b in branches
    )
    return function(x), None if z is None else function(z), (first, second)


def values_and_gradients(inputs: Inputs, **options: Any) -> list[Tensor]:
    x, z, branches = move(inputs, lambda t: t.detach().requires_grad_())
    y = bidirectional_core(x, z, branches, **options)
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(y.shape, generator=draw, dtype=torch.float64).bfloat16().to(y)
    leaves = [t for t in (x, z, *branches[0], *branches[1]) if isinstance(t, Tensor)]
    return [y.detach(), *torch.autograd.grad(y, leaves, weights, materialize_grads=True)]


def assert_as_good_as_eager(inputs: Inputs, impl: str, **options: Any) -> None:
    actual = values_and_gradients(inputs, impl=impl, **options)
    eager = values_and_gradients(inputs, impl="reference", **options)
    truth = values_and_gradients(move(inputs, Tensor.double), impl="reference", **options)
    for i, (got, near, exact) in enumerate(zip(actual, eager, truth, strict=True)):
        allowed = 2 * (near.double() - exact).abs().max()
        allowed += 4 * EPS[got.dtype] * exact.abs().max()
        assert (got.double() - exact).abs().max() <= allowed, i


@pytest.mark.parametrize("crossed", [False, True], ids=["one gate", "crossed"])
def test_written_out(crossed: bool) -> None:
    x, z, (first, second) = make_inputs((2, 9), 4, torch.float64, reverse=True, crossed=crossed)
    want = torch.zeros_like(x)
    for branch in (first, second):
        source, gate = (z, x) if branch.crossed else (x, z)
        options: dict[str, Any] = {"reverse": branch.reverse}
        v = causal_conv1d(
            source, branch.conv_weight, branch.conv_bias, activation="silu", **options
        )
        want = want + selective_scan(
            *(v, branch.delta, -branch.A_log.exp(), branch.B, branch.C, branch.D, gate),
            delta_bias=branch.dt_bias,
            delta_softplus=True,
            **options,
        )
    torch.testing.assert_close(bidirectional_core(x, z, (first, second)), want)


def test_without_a_gate() -> None:
    x, z, branches = make_inputs((2, 9), 4, torch.float64, reverse=True)
    gated = bidirectional_core(x, z, branches)
    bare = bidirectional_core(x, None, branches)
    torch.testing.assert_close(bare * F.silu(z), gated)


def test_cpu_as_good_as_eager() -> None:
    assert_as_good_as_eager(make_inputs((2, 20), 8, torch.float32, reverse=True), "cpu")


def test_perm_is_gather_core_scatter() -> None:
    x, z, branches = make_inputs((1, 11), 4, torch.float64, reverse=True)
    perm = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    turned = tuple(
        b._replace(delta=b.delta[:, perm], B=b.B[:, perm], C=b.C[:, perm]) for b in branches
    )
    y = bidirectional_core(x, z, branches, perm=perm[None])
    torch.testing.assert_close(y[:, perm], bidirectional_core(x[:, perm], z[:, perm], turned))


def test_named_implementation_never_falls_back() -> None:
    inputs = make_inputs((1, 3), 4, torch.float32)
    with pytest.raises(ValueError, match="impl='nvrtc' must get CUDA tensors, got cpu"):
        bidirectional_core(*inputs, impl="nvrtc")


def test_shapes_that_disagree() -> None:
    x, z, (first, second) = make_inputs((2, 9), 4, torch.float32)
    second = second._replace(B=second.B[:, :8])
    with pytest.raises(ValueError, match=r"branches\[1\]\.B must be \(B, L, S\)"):
        bidirectional_core(x, z, (first, second))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "flags", [{"reverse": True}, {"crossed": True}], ids=["one gate", "crossed"]
)
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_nvrtc_as_good_as_eager(flags: dict[str, bool], dtype: torch.dtype, ragged: bool) -> None:
    rows, options = (2, 50), {}
    if ragged:
        rows, options = (300,), {"offsets": torch.tensor([0, 0, 35, 36, 36, 300]).cuda()}
    inputs = move(make_inputs(rows, 38, dtype, **flags), Tensor.cuda)
    assert_as_good_as_eager(inputs, "nvrtc", **options)


@pytest.mark.gpu
def test_nvrtc_passes_opcheck() -> None:
    x, z, (first, second) = move(make_inputs((20,), 8, torch.float32, reverse=True), Tensor.cuda)
    offsets = torch.tensor([0, 20], device="cuda")
    leaves = [t.requires_grad_() for t in (x, first.conv_weight, second.conv_weight)]
    packed = pack([leaves[0], None, leaves[1], None, leaves[2], None])
    conv = (*packed, None, offsets, False, True)
    torch.library.opcheck(bidirectional_conv_fwd, conv)
    names = ("delta", "A_log", "B", "C", "D", "dt_bias")
    pairs = [getattr(b, n).requires_grad_() for n in names for b in (first, second)]
    core = (*pack([x, x.detach().clone().requires_grad_(), z, None, *pairs]), None, offsets)
    torch.library.opcheck(bidirectional_core_fwd, (*core, False, True, True))

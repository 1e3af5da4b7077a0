"""Bidirectional scan: written out by its parts, laws, both implementations, autocast."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._impl import interpreting
from pcmamba.ops.bidirectional_scan import ScanBranch, bidirectional_scan
from pcmamba.ops.causal_conv1d import causal_conv1d
from pcmamba.ops.selective_scan import selective_scan

CHANNELS, STATES, RANK = 6, 3, 2
TOKEN = pytest.param({"reverse": True}, id="token")
CHANNEL = pytest.param({"channel_reverse": True}, id="channel")


def make_branch(seed: int, dtype: torch.dtype, **flags: bool) -> ScanBranch:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype) / 2

    return ScanBranch(
        conv_weight=normal(CHANNELS, 4),
        conv_bias=normal(CHANNELS),
        x_proj=normal(RANK + 2 * STATES, CHANNELS),
        dt_proj=normal(CHANNELS, RANK),
        dt_bias=normal(CHANNELS),
        A_log=normal(CHANNELS, STATES),
        D=normal(CHANNELS),
        **flags,
    )


def make_inputs(
    length: int = 9, dtype: torch.dtype = torch.float64, **second: bool
) -> tuple[Tensor, Tensor, tuple[ScanBranch, ScanBranch]]:
    draw = torch.Generator().manual_seed(length)
    x, z = torch.randn(2, 2, length, CHANNELS, generator=draw, dtype=torch.float64).to(dtype)
    return x, z, (make_branch(1, dtype), make_branch(2, dtype, **second))


def written_out(x: Tensor, z: Tensor | None, branch: ScanBranch) -> Tensor:
    """One branch by its definition, on flipped tensors."""
    if branch.reverse:
        turned = branch._replace(reverse=False)
        return written_out(x.flip(1), None if z is None else z.flip(1), turned).flip(1)
    v = F.silu(causal_conv1d(x, branch.conv_weight, branch.conv_bias))
    projected = v @ branch.x_proj.T
    step = F.softplus(projected[..., :RANK] @ branch.dt_proj.T + branch.dt_bias)
    B, C = projected[..., RANK:].chunk(2, dim=-1)
    y = selective_scan(v, step, -branch.A_log.exp(), B, C, branch.D)
    assert isinstance(y, Tensor)
    return y if z is None else y * F.silu(z)


def leaves_of(x: Tensor, z: Tensor, branches: tuple[ScanBranch, ...]) -> list[Tensor]:
    return [x, z, *(t for branch in branches for t in branch if isinstance(t, Tensor))]


def values_and_gradients(
    x: Tensor, z: Tensor, branches: tuple[ScanBranch, ScanBranch], **options: Any
) -> list[Tensor]:
    for leaf in leaves_of(x, z, branches):
        leaf.requires_grad_()
    y = bidirectional_scan(x, z, branches, **options)
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(y.shape, generator=draw, dtype=torch.float64).to(y)
    leaves = leaves_of(x, z, branches)
    grads = torch.autograd.grad(y, leaves, weights, materialize_grads=True)
    return [y.detach(), *grads]


def test_token_reverse_is_two_scans_one_on_flipped_rows() -> None:
    x, z, branches = make_inputs(reverse=True)
    want = written_out(x, z, branches[0]) + written_out(x, z, branches[1])
    torch.testing.assert_close(bidirectional_scan(x, z, branches), want)
    bare = written_out(x, None, branches[0]) + written_out(x, None, branches[1])
    torch.testing.assert_close(bidirectional_scan(x, None, branches), bare)


def test_channel_reverse_swaps_and_reverses_input_and_gate() -> None:
    x, z, branches = make_inputs(channel_reverse=True)
    both = torch.cat([x, z], -1).flip(-1)
    second = written_out(both[..., :CHANNELS], both[..., CHANNELS:], branches[1]).flip(-1)
    want = written_out(x, z, branches[0]) + second
    torch.testing.assert_close(bidirectional_scan(x, z, branches), want)
    bare = written_out(x, None, branches[0]) + written_out(x.flip(-1), None, branches[1]).flip(-1)
    torch.testing.assert_close(bidirectional_scan(x, None, branches), bare)


@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
def test_gradcheck(flags: dict[str, bool]) -> None:
    x, z, branches = make_inputs(3, **flags)
    leaves = [leaf.requires_grad_() for leaf in leaves_of(x, z, branches)]

    def function(x: Tensor, z: Tensor, *_: Tensor) -> Tensor:
        return bidirectional_scan(x, z, branches)

    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
@pytest.mark.parametrize("length", [0, 1, 63])
def test_cpu_as_good_as_eager(length: int, flags: dict[str, bool]) -> None:
    truth = values_and_gradients(*make_inputs(length, **flags))
    narrow = make_inputs(length, torch.float32, **flags)
    exact = values_and_gradients(*_double(*narrow), impl="reference")
    eager = values_and_gradients(*narrow, impl="reference")
    actual = values_and_gradients(*narrow, impl="cpu")
    assert len(truth) == len(actual)
    for got, near, want in zip(actual, eager, exact, strict=True):
        if want.numel():
            allowed = 2 * (near.double() - want).abs().max() + 2**-21 * want.abs().max()
            assert (got.double() - want).abs().max() <= allowed


@pytest.mark.skipif(not interpreting(), reason="Triton does not interpret here")
def test_triton_is_the_reference() -> None:
    inputs = make_inputs(5, torch.float32, reverse=True)
    results = [values_and_gradients(*inputs, impl=impl) for impl in ("triton", "reference")]
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def _double(
    x: Tensor, z: Tensor, branches: tuple[ScanBranch, ScanBranch]
) -> tuple[Tensor, Tensor, tuple[ScanBranch, ScanBranch]]:
    first, second = (
        ScanBranch(*(v.detach().double() if isinstance(v, Tensor) else v for v in branch))
        for branch in branches
    )
    return x.detach().double(), z.detach().double(), (first, second)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
def test_perm_is_gather_scan_scatter(impl: str, flags: dict[str, bool]) -> None:
    x, z, branches = make_inputs(11, torch.float32, **flags)
    draw = torch.Generator().manual_seed(0)
    perm = torch.stack([torch.randperm(11, generator=draw) for _ in range(2)])

    def gather(rows: Tensor) -> Tensor:
        return rows.gather(1, perm[:, :, None].expand_as(rows))

    y = bidirectional_scan(x, z, branches, perm=perm, impl=impl)
    want = bidirectional_scan(gather(x), gather(z), branches, impl=impl)
    torch.testing.assert_close(gather(y), want)


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
def test_ragged_is_looped_dense(impl: str, flags: dict[str, bool]) -> None:
    x, z, branches = make_inputs(11, torch.float32, **flags)
    ends = [0, 0, 7, 8, 22]
    rows, gate = x.flatten(0, 1), z.flatten(0, 1)
    pairs = list(itertools.pairwise(ends))
    perm = torch.cat([torch.arange(end - begin).flip(0) for begin, end in pairs])
    y = bidirectional_scan(rows, gate, branches, perm=perm, offsets=torch.tensor(ends), impl=impl)
    for begin, end in pairs:
        part = rows[None, begin:end].flip(1), gate[None, begin:end].flip(1)
        want = bidirectional_scan(*part, branches, impl=impl).flip(1)
        torch.testing.assert_close(y[None, begin:end], want)


def test_batch_mates_change_nothing() -> None:
    x, z, branches = make_inputs(40, torch.float32, reverse=True)
    alone = bidirectional_scan(x[:1], z[:1], branches)
    x[1], z[1] = float("nan"), 1e4
    torch.testing.assert_close(bidirectional_scan(x, z, branches)[:1], alone, rtol=1e-6, atol=1e-6)


def test_autocast_keeps_the_state_in_float32() -> None:
    x, z, branches = make_inputs(40, torch.float32, reverse=True)
    exact = bidirectional_scan(*_double(x, z, branches))
    narrow = x.bfloat16(), z.bfloat16()
    leaves = [leaf.requires_grad_() for leaf in leaves_of(*narrow, branches)]
    errors = {}
    for impl in ("reference", "cpu"):
        with torch.autocast("cpu", torch.bfloat16):
            y = bidirectional_scan(*narrow, branches, impl=impl)
        assert y.dtype == torch.bfloat16
        errors[impl] = (y.double() - exact).abs().max() / exact.abs().max()
        grads = torch.autograd.grad(y.float().square().sum(), leaves)
        assert all(g.dtype == t.dtype for g, t in zip(grads, leaves, strict=True))
        assert all(g.isfinite().all() for g in grads)
    assert errors["cpu"] <= 2 * errors["reference"] + 4 * 2**-8


def test_reads_the_halves_of_one_projection() -> None:
    x, z, branches = make_inputs(10, torch.float32, reverse=True)
    halves = torch.cat([x, z], -1).chunk(2, -1)
    want = bidirectional_scan(x, z, branches)
    torch.testing.assert_close(bidirectional_scan(*halves, branches), want)


@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
def test_compiles_without_a_break(flags: dict[str, bool]) -> None:
    x, z, branches = make_inputs(6, torch.float32, **flags)
    perm = torch.stack([torch.arange(6).flip(0), torch.arange(6)])
    leaves = [leaf.requires_grad_() for leaf in leaves_of(x, z, branches)]
    compiled = torch.compile(bidirectional_scan, fullgraph=True, backend="aot_eager")
    results = []
    for function in (bidirectional_scan, compiled):
        y = function(x, z, branches, perm=perm)
        results.append([y, *torch.autograd.grad(y.sum(), leaves)])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": torch.ones(3, 6)}, ValueError, r"x must be \(B, L, D\)"),
        ({"z": torch.ones(2, 9, 5)}, ValueError, r"z must be \(B, L, D\) with D = 6 from x"),
        ({"branches": ()}, ValueError, "branches must be two ScanBranch, got 0"),
        ({"perm": torch.zeros(2, 9)}, TypeError, "perm must be int64"),
        (
            {"perm": torch.zeros(2, 9, dtype=torch.int64)},
            ValueError,
            "perm must hold each row of its sequence once",
        ),
    ],
    ids=["x", "z", "branches", "perm type", "perm"],
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    x, z, branches = make_inputs(9, reverse=True)
    with pytest.raises(error, match=message):
        bidirectional_scan(**({"x": x, "z": z, "branches": branches} | changes))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("A_log", (5, 3), r"branches\[1\]\.A_log must be \(6, S\)"),
        ("x_proj", (7, 6), r"branches\[1\]\.x_proj must be \(8, 6\), got \(7, 6\)"),
        ("dt_proj", (6,), r"branches\[1\]\.dt_proj must be \(6, r\)"),
        ("conv_bias", (5,), r"branches\[1\]\.conv_bias must be \(6\)"),
    ],
)
def test_errors_of_a_branch(name: str, shape: tuple[int, ...], message: str) -> None:
    x, z, (first, second) = make_inputs(9, reverse=True)
    second = second._replace(**{name: torch.ones(shape, dtype=torch.float64)})
    with pytest.raises(ValueError, match=message):
        bidirectional_scan(x, z, (first, second))


def on_gpu(
    x: Tensor, z: Tensor, branches: tuple[ScanBranch, ScanBranch]
) -> tuple[Tensor, Tensor, tuple[ScanBranch, ScanBranch]]:
    first, second = (
        ScanBranch(*(v.cuda() if isinstance(v, Tensor) else v for v in branch))
        for branch in branches
    )
    return x.cuda(), z.cuda(), (first, second)


@pytest.mark.gpu
@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
@pytest.mark.parametrize("with_perm", [False, True], ids=["", "perm"])
def test_nvrtc_as_good_as_eager(flags: dict[str, bool], with_perm: bool) -> None:
    inputs = on_gpu(*make_inputs(63, torch.float32, **flags))
    perm = torch.stack([torch.randperm(63) for _ in range(2)]).cuda() if with_perm else None
    exact = [t.cuda() for t in values_and_gradients(*_double(*inputs), impl="reference", perm=perm)]
    eager = values_and_gradients(*inputs, impl="reference", perm=perm)
    actual = values_and_gradients(*inputs, impl="nvrtc", perm=perm)
    for got, near, want in zip(actual, eager, exact, strict=True):
        allowed = 2 * (near.double() - want).abs().max() + 2**-21 * want.abs().max()
        assert (got.double() - want).abs().max() <= allowed


@pytest.mark.gpu
@pytest.mark.parametrize("flags", [TOKEN, CHANNEL])
def test_nvrtc_compiles_without_a_break(flags: dict[str, bool]) -> None:
    x, z, branches = on_gpu(*make_inputs(6, torch.float32, **flags))
    leaves = [leaf.requires_grad_() for leaf in leaves_of(x, z, branches)]
    compiled = torch.compile(bidirectional_scan, fullgraph=True, backend="aot_eager")
    results = []
    for function in (bidirectional_scan, compiled):
        y = function(x, z, branches, impl="nvrtc")
        results.append([y, *torch.autograd.grad(y.sum(), leaves)])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.gpu
def test_nvrtc_same_bits_again() -> None:
    inputs = on_gpu(*make_inputs(300, torch.float32, reverse=True))
    first, again = (values_and_gradients(*inputs, impl="nvrtc") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))

"""Tensors of more than 2**31 elements, one after the other; both ends are compared."""

from __future__ import annotations

import gc

import pytest
import torch
from bench_check import compare, output_grads, run
from bench_inputs import BUILDERS
from bench_problem import DTYPES, Case, MissingOp, narrow

from pcmamba import ops

import bench_bidirectional  # isort: skip # noqa: F401 # registers its builders
import bench_events  # isort: skip # noqa: F401
import bench_layers  # isort: skip # noqa: F401

pytestmark = pytest.mark.gpu
MANY = 2**31
# The tensor that is long, and free memory in GiB.
CASES = {
    "scan u": (Case("selective_scan", "16640x64x2048", "bf16", "fwd+bwd"), "u", 62),
    "scan B": (Case("selective_scan", "2097664x64x4", "bf16", "fwd+bwd"), "B", 62),
    "core x": (Case("bidirectional_core", "16640x64x2048", "bf16", "fwd"), "x", 62),
    "local u": (Case("local_bidirectional_scan", "16640x64x2048", "bf16", "fwd"), "u", 62),
    "conv x": (Case("causal_conv1d", "16640x64x2048", "bf16", "fwd+bwd"), "x", 40),
    "norm x": (Case("add_rms_norm", "2130000x1024", "bf16", "fwd+bwd"), "x", 62),
    "sample xyz": (Case("farthest_point_sample", "720000x1000x4"), "xyz", 40),
    "ball support": (Case("ball_query", "720000x2x1000x4"), "support", 40),
    "group feat": (Case("group_then_max", "64x64x12x512x66000", "bf16", "fwd+bwd"), "feat", 40),
    "max feat": (Case("group_max", "64x64x12x512x66000", "bf16", "fwd+bwd"), "feat", 40),
    "max idx": (Case("group_max", "64x1400000x24x1x64", "bf16", "fwd"), "idx", 50),
    "lif x": (Case("lif", "33x67108864", "bf16", "fwd+bwd"), "x", 50),
}


@pytest.fixture(autouse=True)
def free_memory():
    yield
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.parametrize("name", CASES)
def test_both_ends_are_right(name: str) -> None:
    case, long, need = CASES[name]
    if torch.cuda.mem_get_info()[0] < need * 2**30:
        pytest.skip(f"needs {need} GiB of free memory")
    backward, dtype = case.passes == "fwd+bwd", DTYPES[case.dtype]
    try:
        problem = BUILDERS[case.op](case, dtype)
    except (MissingOp, KeyError) as missing:
        pytest.skip(f"no {case.op}: {missing}")
    problem.keep = {k: min(v, 4) for k, v in problem.keep.items() if k in "BXMR"}
    if case.op == "add_rms_norm":
        problem.keep = {"R": 4}
    values = problem.inputs
    assert values[long].numel() > MANY
    for wanted in problem.differentiate if backward else ():
        values[wanted].requires_grad_()
    with torch.set_grad_enabled(backward):
        results = problem.call(values, "auto")
    grads = output_grads(problem, results, cut=True) if backward else None
    small = grads and [(s, narrow(g, s, problem.keep)) for s, g in grads]
    found = [
        narrow(y.detach(), s, problem.keep) for y, s in zip(results, problem.results, strict=True)
    ]
    letters = [problem.letters[name] for name in problem.differentiate]
    if grads is not None:
        wanted = [values[name] for name in problem.differentiate]
        own = torch.autograd.grad(
            [y for y in results if y.requires_grad], wanted, [g for _, g in grads]
        )
        found += [narrow(g, s, problem.keep) for g, s in zip(own, letters, strict=True)]
        del own
    del results, grads
    part = {n: narrow(t.detach(), problem.letters[n], problem.keep) for n, t in values.items()}
    wide = {n: t.double() if t.is_floating_point() else t for n, t in part.items()}
    eager = run(problem, part, "exact", small)
    exact = run(problem, wide, "exact", small)
    for i, got in enumerate(found):
        assert compare(got, eager[i], exact[i], dtype) is None, f"{name}, tensor {i}"


def test_knn_results() -> None:
    query = torch.zeros(1, 2**27 + 9, 3, device="cuda")
    query[:, -9:] = torch.arange(27, device="cuda").view(9, 3)
    support = torch.arange(96, device="cuda").view(1, 32, 3).float()
    found = ops.knn(query, support, 16)
    assert found.idx.numel() > MANY
    for part in (slice(0, 9), slice(-9, None)):
        expected = ops.knn(query[:, part], support, 16, impl="reference")
        assert torch.equal(found.idx[:, part], expected.idx)
        assert torch.equal(found.dist2[:, part], expected.dist2)


def test_serialize_points() -> None:
    xyz = torch.rand(720_000, 1000, 3, device="cuda")
    assert xyz.numel() > MANY
    found = ops.serialize(xyz, "hilbert", depth=10)
    for part in (slice(0, 2), slice(-2, None)):
        expected = ops.serialize(xyz[part], "hilbert", depth=10, impl="reference")
        for mine, right in zip(found, expected, strict=True):
            assert torch.equal(mine[part], right)


@pytest.mark.parametrize("op", ["event_histogram", "events_to_voxel_grid"])
def test_cells_of_events(op: str) -> None:
    if not hasattr(ops, op):
        pytest.skip(f"no {op}")
    side, bins = 1000, 2400
    x = torch.tensor([0, side - 1, side - 1, 3], device="cuda")
    t = torch.tensor([0, 10, 2398, 2399], device="cuda")
    p = torch.ones(4, dtype=torch.bool, device="cuda")
    options = {"split": "time"} if op == "event_histogram" else {}
    grid = getattr(ops, op)(x, x, t, p, bins=bins, resolution_hw=(side, side), **options)
    grid = grid.view(bins, -1, side, side)
    assert grid.numel() > MANY
    for cell in (
        (0, -1, 0, 0),
        (10, -1, side - 1, side - 1),
        (2398, -1, side - 1, side - 1),
        (2399, -1, 3, 3),
    ):
        assert float(grid[cell]) == pytest.approx(1, abs=1e-2)
    assert float(grid.sum(dtype=torch.float64)) == pytest.approx(4, abs=1e-4)

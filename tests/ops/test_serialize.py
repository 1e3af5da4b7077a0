import math

import pytest
import torch

from pcmamba.ops.orders import ORDERS
from pcmamba.ops.serialize import Serialization, serialize

SOME = ["cts-yzx", "slab-zxy", "z-trans", "hilbert", "raster", "random"]


def clouds(*sizes, seed=0):
    """Cloud i has `sizes[i]` points and a side of 1 + i / 2, somewhere in space."""
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for i, size in enumerate(sizes):
        xyz = torch.rand(size, 3, generator=generator) * (1 + i / 2)
        drawn.append(xyz + 10 * torch.rand(3, generator=generator) - 5)
    return drawn


def join(parts):
    offsets = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    return torch.cat(parts), offsets


def assert_equal(one, two):
    for name, a, b in zip(Serialization._fields, one, two, strict=True):
        assert torch.equal(a, b), name


def test_five_points_by_hand():
    xyz = torch.tensor([[0.9, 0.1, 0], [0.2, 0.1, 0], [0.4, 0.6, 0], [0.1, 0.2, 0], [0.9, 0.7, 0]])
    found = serialize(xyz[None], "cts-xyz", grid_size=0.5)
    assert found.code.tolist() == [[1, 0, 3, 0, 2]]
    assert found.perm.tolist() == [[1, 3, 0, 4, 2]]
    assert found.inverse.tolist() == [[2, 0, 4, 1, 3]]
    assert all(part.dtype == torch.int64 for part in found)


@pytest.mark.parametrize("name", ORDERS)
def test_perm_sorts_the_code_stably_and_inverse_undoes_it(name):
    found = serialize(torch.stack(clouds(257, 257)), name, grid_size=0.2, seed=0)
    places = torch.arange(257).expand(2, -1)
    assert torch.equal(found.perm.gather(1, found.inverse), places)
    assert torch.equal(found.inverse.gather(1, found.perm), places)
    steps = found.code.gather(1, found.perm).diff()
    assert int(found.code.min()) >= 0
    assert (steps >= 0).all()
    assert (found.perm.diff()[steps == 0] > 0).all()


@pytest.mark.parametrize("name", sorted(set(ORDERS) - {"random"}))
def test_one_cell_keeps_the_order_of_the_input(name):
    found = serialize(torch.full((2, 100, 3), 0.3), name, grid_size=0.1)
    assert torch.equal(found.perm, torch.arange(100).expand(2, -1))
    assert int(found.code.abs().max()) == 0


@pytest.mark.parametrize("name", ORDERS)
def test_batch_mates_never_change_a_cloud(name):
    batch = clouds(90, 90, 90)
    options = {"grid_size": 0.13, "seed": 3}
    together = serialize(torch.stack(batch), name, **options)
    turned = serialize(torch.stack(batch[::-1]), name, **options)
    assert_equal(together, [part.flip(0) for part in turned])
    for i, cloud in enumerate(batch):
        assert_equal(
            [part[i : i + 1] for part in together], serialize(cloud[None], name, **options)
        )


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("name", ORDERS)
def test_ragged_equals_looped_dense(name, impl):
    parts = clouds(0, 63, 1, 0, 257, 0)
    xyz, offsets = join(parts)
    found = serialize(xyz, name, grid_size=0.11, offsets=offsets, seed=2, impl=impl)
    looped = [serialize(part[None], name, grid_size=0.11, seed=2) for part in parts]
    assert_equal(found, [torch.cat(each, 1)[0] for each in zip(*looped, strict=True)])


@pytest.mark.parametrize("name", ["slab-xyz", "slab-yxz", "slab-zxy", "hilbert"])
def test_ragged_equals_dense_with_the_scope_of_the_batch(name):
    batch = torch.stack(clouds(60, 60, 60))
    offsets = torch.tensor([0, 60, 120, 180])
    dense = serialize(batch, name, grid_size=0.1, parity="batch")
    ragged = serialize(batch.view(-1, 3), name, grid_size=0.1, parity="batch", offsets=offsets)
    assert_equal([part.flatten() for part in dense], ragged)


def test_several_orders_lie_on_a_leading_axis():
    xyz, offsets = join(clouds(40, 30))
    for points, bounds, shape in ((xyz[None], None, (6, 1, 70)), (xyz, offsets, (6, 70))):
        found = serialize(points, SOME, grid_size=0.2, offsets=bounds, seed=4)
        assert found.code.shape == found.perm.shape == found.inverse.shape == shape
        for i, name in enumerate(SOME):
            alone = serialize(points, name, grid_size=0.2, offsets=bounds, seed=4)
            assert_equal([part[i] for part in found], alone)
    assert serialize(xyz[None], ("z",), grid_size=0.2).perm.shape == (1, 1, 70)


@pytest.mark.parametrize("name", ["hilbert", "hilbert-trans", "z", "cts-zyx"])
def test_implementations_give_the_same_integers(name):
    batch = torch.stack(clouds(300, 300, 300))
    one, two = (serialize(batch, name, grid_size=0.01, impl=impl) for impl in ("reference", "cpu"))
    assert_equal(one, two)
    assert_equal(one, serialize(batch, name, grid_size=0.01))


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (0, 0, 3)])
def test_nothing_gives_nothing(shape):
    found = serialize(torch.zeros(shape), ["z", "hilbert"], grid_size=0.1)
    assert all(part.shape == (2, *shape[:2]) and part.dtype == torch.int64 for part in found)


@pytest.mark.parametrize("offsets", [[0], [0, 0, 0]])
def test_ragged_nothing_gives_nothing(offsets):
    found = serialize(torch.zeros(0, 3), "cts-xyz", grid_size=0.1, offsets=torch.tensor(offsets))
    assert all(part.shape == (0,) for part in found)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integer_cells_are_taken_as_they_are(dtype):
    grid = torch.randint(100, (2, 80, 3), generator=torch.Generator().manual_seed(0))
    found = serialize(grid.to(dtype), SOME[:5])
    assert_equal(found, serialize(grid.float(), SOME[:5], grid_size=1.0))


def test_event_cells_far_along_in_time():
    # (x, y, t) with t in steps of a recording that began long ago, sorted by t first.
    generator = torch.Generator().manual_seed(0)
    x, y, t = (torch.randint(most, (500,), generator=generator) for most in (346, 260, 3000))
    events = torch.stack([x, y, t + 1_700_000_000_000], -1)
    perm = serialize(events[None], "cts-xyz").perm[0]
    assert (t[perm].diff() >= 0).all()
    assert torch.equal(t[serialize(events[None], "raster").perm[0]], t.sort().values)


@pytest.mark.parametrize("name", sorted(set(ORDERS) - {"random"}))
def test_twenty_bits_an_axis_in_two_clouds(name):
    last = (1 << 20) - 1
    draws = torch.randint(last + 1, (2, 50, 3), generator=torch.Generator().manual_seed(1))
    grid = torch.cat([torch.tensor([[0, 0, 0], [last] * 3]).expand(2, -1, -1), draws], 1)
    found = serialize(grid, name)
    assert int(found.code.min()) >= 0
    assert int(found.code.max()) < 1 << 60
    assert (found.code.gather(1, found.perm).diff() >= 0).all()
    offsets = torch.tensor([0, 52, 104])
    assert_equal([p.flatten() for p in found], serialize(grid.view(-1, 3), name, offsets=offsets))


def test_depth_alone_divides_the_longest_side():
    xyz = torch.tensor([[0.0, 0, 0], [0.99, 0, 0], [1.01, 0.49, 0], [4.0, 1.2, 0.9]]) - 7
    found = serialize(xyz[None], "raster", depth=2)
    cells = [[0, 0, 0], [0, 0, 0], [1, 0, 0], [3, 1, 0]]
    assert_equal(found, serialize(torch.tensor([cells]), "raster", depth=2))
    moved = serialize((xyz * 8 + 64)[None], "raster", depth=2)
    assert_equal(found, moved)
    assert serialize(torch.ones(1, 3, 3), "hilbert", depth=4).code.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_brought_to_float32(dtype):
    xyz = torch.stack(clouds(100, 100)).to(dtype)
    one, two = (serialize(points, "hilbert", grid_size=0.05) for points in (xyz, xyz.float()))
    assert_equal(one, two)


def test_strided_and_differentiable_points():
    xyz = torch.stack(clouds(100, 100))
    wide = torch.randn(2, 5, 200)
    wide[:, 1:4, ::2] = xyz.transpose(1, 2)
    strided = wide.requires_grad_()[:, 1:4, ::2].transpose(1, 2)
    found = serialize(strided, SOME, grid_size=0.1, seed=0)
    assert_equal(found, serialize(xyz, SOME, grid_size=0.1, seed=0))
    assert not found.code.requires_grad


CASES = {
    "no points axis": ((torch.zeros(5, 3), "z"), {}, r"xyz must be \(B, N, 3\), got \(5, 3\)"),
    "two axes": ((torch.zeros(1, 5, 2), "z"), {}, r"xyz must be \(B, N, 3\).*got \(1, 5, 2\)"),
    "near match": ((torch.zeros(1, 5, 3), "hilbrt"), {}, r"order must be .*Did you mean 'hilbert'"),
    "released name": ((torch.zeros(1, 5, 3), "xyz"), {}, r"order must be one of cts-xyz.*'xyz'"),
    "no order": ((torch.zeros(1, 5, 3), []), {}, "order must name at least one order"),
    "neither": ((torch.zeros(1, 5, 3), "z"), {}, "grid_size or depth must be given .* neither"),
    "both": (
        (torch.zeros(1, 5, 3), "z"),
        {"grid_size": 0.1, "depth": 5},
        "grid_size or depth must be given .* got both",
    ),
    "cells with a size": (
        (torch.zeros(1, 5, 3, dtype=torch.int32), "z"),
        {"grid_size": 0.1},
        "grid_size must be None for integer cells, got 0.1",
    ),
    "size 0": ((torch.zeros(1, 5, 3), "z"), {"grid_size": 0}, "grid_size must be positive .*got 0"),
    "size nan": ((torch.zeros(1, 5, 3), "z"), {"grid_size": math.nan}, "grid_size .* got nan"),
    "depth 0": ((torch.zeros(1, 5, 3), "z"), {"depth": 0}, "depth must be 1 to 20, got 0"),
    "depth 21": ((torch.zeros(1, 5, 3), "z"), {"depth": 21}, "depth must be 1 to 20, got 21"),
    "parity": (
        (torch.zeros(1, 5, 3), "z"),
        {"grid_size": 1, "parity": "bach"},
        "parity must be .*Did you mean 'batch'",
    ),
    "impl": (
        (torch.zeros(1, 5, 3), "z"),
        {"grid_size": 1, "impl": "triton"},
        "impl must be one of",
    ),
    "offsets": (
        (torch.zeros(5, 3), "z"),
        {"grid_size": 1, "offsets": torch.tensor([0, 4])},
        "offsets must rise from 0 to 5",
    ),
    "nan": (
        (torch.tensor([[[0, 0, 0], [0, math.nan, 0]]]), "z"),
        {"grid_size": 1},
        "xyz must be finite, got 1 points",
    ),
    "inf with depth": (
        (torch.tensor([[[0, 0, math.inf], [0, -math.inf, 0]]]), "z"),
        {"depth": 4},
        "xyz must be finite, got 2 points",
    ),
    "far away": (
        (torch.tensor([[[5e6, 0, 0]]]), "z"),
        {"grid_size": 0.02},
        r"xyz / grid_size must stay below 2\*\*24.*2.5e\+08; subtract an origin",
    ),
    "too wide": (
        (torch.tensor([[[0, 0, 0], [0, 1 << 20, 0]]]), "z"),
        {},
        r"xyz must span at most 2\*\*20 cells an axis .*got 1048577",
    ),
    "wider than the depth": (
        (torch.tensor([[[1, 0, 0], [9, 0, 0]]]), "hilbert"),
        {"depth": 3},
        r"xyz must span at most 2\*\*3 cells an axis \(the depth given\), got 9",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_errors_say_what_must_hold(case):
    arguments, options, message = case
    with pytest.raises(ValueError, match=message):
        serialize(*arguments, **options)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_points_are_numbers(dtype):
    with pytest.raises(TypeError, match="xyz must be floating point or integer"):
        serialize(torch.zeros(1, 5, 3, dtype=dtype), "z", grid_size=0.1)


def test_opcheck():
    xyz, offsets = join(clouds(20, 30))
    op = torch.ops.pcmamba.serialize.default
    for points, bounds in ((xyz[None], None), (xyz, offsets)):
        torch.library.opcheck(op, (points, SOME, 0.1, None, bounds, "cloud", 1, "reference"))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_a_graph_break(dynamic):
    def run(xyz, offsets):
        dense = serialize(xyz[None] * 2, "hilbert", grid_size=0.1)
        ragged = serialize(xyz, ["z", "cts-xyz"], grid_size=0.1, offsets=offsets)
        return dense.perm + 1, ragged.code

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for sizes in ((20, 30), (0, 25)):
        xyz, offsets = join(clouds(*sizes))
        for one, two in zip(compiled(xyz, offsets), run(xyz, offsets), strict=True):
            assert torch.equal(one, two)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ORDERS)
def test_a_gpu_gives_the_same_integers(name):
    xyz, offsets = join(clouds(0, 500, 3000))
    for points, bounds in ((xyz[None], None), (xyz, offsets)):
        options = {"grid_size": 0.03, "seed": 0}
        wanted = serialize(points, name, offsets=bounds, **options)
        moved = None if bounds is None else bounds.cuda()
        found = serialize(points.cuda(), name, offsets=moved, **options)
        assert_equal(wanted, [part.cpu() for part in found])

import math

import pytest
import torch

from pcmamba.ops._impl import interpreting
from pcmamba.ops.orders import ORDERS
from pcmamba.ops.orders._registry import Order
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


# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
interpreted = pytest.mark.skipif(not interpreting(), reason="Triton is not interpreted")


@pytest.fixture(params=["one program a cloud", "torch's sort"])
def kernel_sizes(request, monkeypatch):
    """Both ways of the Triton kernels on clouds that the interpreter can take."""
    from pcmamba.kernels import serialize_triton

    monkeypatch.setattr(serialize_triton, "BLOCK_N", 32)
    if request.param == "torch's sort":
        monkeypatch.setattr(serialize_triton, "MOST_SMALL", 0)
    return request.param


def assert_triton_is_exact(points, names, **options):
    wanted = serialize(points, names, impl="reference", **options)
    assert_equal(wanted, serialize(points, names, impl="triton", **options))


@interpreted
def test_triton_gives_every_order(monkeypatch):
    from pcmamba.kernels import serialize_triton

    monkeypatch.setattr(serialize_triton, "BLOCK_N", 32)
    monkeypatch.setattr(serialize_triton, "MOST_SMALL", 0)
    assert_triton_is_exact(clouds(30)[0][None], list(ORDERS), grid_size=0.13, seed=3)


@interpreted
def test_triton_sorts_small_clouds_in_one_program():
    # The hash fills 63 bits and so takes the second pass; the others take one.
    assert_triton_is_exact(clouds(20)[0][None], ["cts-xyz", "hilbert", "random"], depth=4, seed=3)


@interpreted
@pytest.mark.parametrize(
    "options",
    [{"grid_size": 0.11}, {"depth": 4}, {"grid_size": 0.11, "parity": "batch"}],
    ids=["size", "depth", "scope of the batch"],
)
def test_triton_takes_ragged_clouds(options, kernel_sizes):
    xyz, offsets = join(clouds(0, 9, 1, 16))
    assert_triton_is_exact(xyz, ["slab-zxy"], offsets=offsets, **options)
    if kernel_sizes == "torch's sort":
        assert_triton_is_exact(xyz, ["hilbert", "random"], offsets=offsets, seed=1, **options)


@interpreted
def test_triton_takes_cells_of_twenty_bits_far_out(kernel_sizes):
    draw = torch.Generator().manual_seed(1)
    grid = torch.randint(1 << 20, (1, 16, 3), generator=draw) + 10**12
    assert_triton_is_exact(grid, ["cts-zyx", "raster"])
    # Codes that differ in their lowest bits alone, or in their highest alone.
    pair = torch.tensor([[0, 0, 0], [1, 1, 1 << 19]])
    assert_triton_is_exact(pair.repeat(8, 1)[None], ["raster", "z"])


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32])
def test_triton_takes_other_types(dtype, kernel_sizes):
    batch = (clouds(16)[0][None] * 20).to(dtype)
    size = None if dtype == torch.int32 else 3.0
    assert_triton_is_exact(batch, ["hilbert"], grid_size=size)


@interpreted
def test_triton_refuses_an_order_it_does_not_know(monkeypatch):
    class Backwards(Order):
        def key(self, cells):
            return (cells.place.flip(-1) + 0 * cells.grid[..., 0]).contiguous()

    ORDERS.register("backwards")(Backwards())
    try:
        found = serialize(torch.zeros(1, 4, 3), ["z", "backwards"], grid_size=1.0)
        assert found.perm[1].tolist() == [[3, 2, 1, 0]]
        with pytest.raises(NotImplementedError, match=r"order must be .* got 'backwards'"):
            serialize(torch.zeros(1, 4, 3), "backwards", grid_size=1.0, impl="triton")
    finally:
        del ORDERS._entries["backwards"]


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
        {"grid_size": 1, "impl": "cuda"},
        "impl must be one of auto, cpu, nvrtc, reference, triton",
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


@interpreted
def test_opcheck_of_the_kernels():
    op = torch.ops.pcmamba.serialize.default
    arguments = (clouds(10)[0][None], ["z"], 0.1, None, None, "cloud", 1, "triton")
    torch.library.opcheck(op, arguments)


GPU_CASES = {
    "rows": ((4, 1024), {"grid_size": 0.02}),
    "a few": ((3, 5), {"grid_size": 0.02}),
    "most in a block": ((1, 4096), {"grid_size": 0.005}),
    "depth": ((2, 1000), {"depth": 10}),
    "scope of the batch": ((3, 1000), {"grid_size": 0.02, "parity": "batch"}),
    "large": ((3, 20000), {"grid_size": 0.02}),
    "large, depth": ((2, 20000), {"depth": 7}),
}


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc", "reference", "auto"])
@pytest.mark.parametrize("case", GPU_CASES.values(), ids=GPU_CASES.keys())
def test_a_gpu_gives_the_same_integers(case, impl):
    (batch, points), options = case
    if impl == "nvrtc" and points > 4096:
        pytest.skip("larger than a block sorts")
    xyz = torch.stack(clouds(*[points] * batch))
    names = ["cts-xyz", "hilbert"] if impl == "triton" else list(ORDERS)
    wanted = serialize(xyz, names, seed=0, **options)
    found, again = (serialize(xyz.cuda(), names, seed=0, impl=impl, **options) for _ in range(2))
    assert_equal(wanted, [part.cpu() for part in found])
    assert_equal(found, again)


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["nvrtc", "reference", "auto"])
@pytest.mark.parametrize("sizes", [(0, 33, 1, 0, 3000), (0, 500, 30000)], ids=["small", "large"])
def test_a_gpu_takes_ragged_clouds_and_cells(sizes, impl):
    xyz, offsets = join(clouds(*sizes))
    if impl == "nvrtc" and len(xyz) > 4096:
        pytest.skip("larger than a block sorts")
    cells = (xyz * 1e5).long() + 10**12
    for points, size in ((xyz, 0.02), (cells, None)):
        options = {"grid_size": size, "seed": 0}
        wanted = serialize(points, list(ORDERS), offsets=offsets, **options)
        moved = offsets.cuda()
        found = serialize(points.cuda(), list(ORDERS), offsets=moved, impl=impl, **options)
        assert_equal(wanted, [part.cpu() for part in found])


@pytest.mark.gpu
@pytest.mark.parametrize("points", [1000, 20000])
def test_a_gpu_does_not_wait_for_the_host(points):
    xyz = torch.rand(2, points, 3, device="cuda")
    serialize(xyz, ["hilbert", "z"], grid_size=0.02)
    torch.cuda.set_sync_debug_mode("error")
    try:
        serialize(xyz, ["hilbert", "z"], grid_size=0.02)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_coordinates_that_are_none_give_a_permutation_on_a_gpu():
    for points in (1000, 20000):
        xyz = torch.rand(2, points, 3, device="cuda")
        xyz[:, ::7] = math.nan
        xyz[:, 1::7] = math.inf
        for options in ({"grid_size": 1e-9}, {"depth": 10}):
            found = serialize(xyz, ["hilbert", "z", "cts-xyz"], **options)
            places = torch.arange(points, device="cuda").expand(3, 2, -1)
            assert torch.equal(found.perm.gather(-1, found.inverse), places)


@pytest.mark.gpu
def test_larger_clouds_than_a_block_sorts_are_refused():
    with pytest.raises(NotImplementedError, match=r"xyz must hold at most 4096 points .* got 5000"):
        serialize(torch.zeros(1, 5000, 3, device="cuda"), "z", grid_size=1.0, impl="nvrtc")

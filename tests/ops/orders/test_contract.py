"""What every registered order must do; a new one is tested by being registered."""

import pytest
import torch

from pcmamba.ops.orders import MAX_DEPTH, ORDERS, Curve, Order
from pcmamba.ops.serialize import serialize

CURVES = [name for name in ORDERS if isinstance(ORDERS[name], Curve)]
CONTINUOUS = [name for name in ORDERS if ORDERS[name].continuous]
NAMES = ["".join(axes) for axes in ("xyz", "xzy", "yxz", "yzx", "zxy", "zyx")]


def cube(depth):
    side = torch.arange(1 << depth)
    return torch.cartesian_prod(side, side, side)


def test_the_names_are_those_of_the_specification():
    wanted = [f"{kind}-{name}" for kind in ("cts", "slab") for name in NAMES]
    wanted += ["z", "z-trans", "hilbert", "hilbert-trans", "raster", "random"]
    assert list(ORDERS) == sorted(wanted)
    assert sorted([*wanted[:6], "hilbert", "hilbert-trans"]) == CONTINUOUS
    assert set(ORDERS) - set(CURVES) == {*wanted[6:12], "random"}


@pytest.mark.parametrize("name", ORDERS)
def test_an_entry_is_an_order(name):
    assert isinstance(ORDERS[name], Order)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("name", CURVES)
def test_codes_number_the_cube_once_and_decode_inverts(name, depth):
    grid = cube(depth)
    code = ORDERS[name].encode(grid, depth)
    assert code.dtype == torch.int64
    assert torch.equal(code.sort().values, torch.arange(8**depth))
    assert torch.equal(ORDERS[name].decode(code, depth), grid)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_continuous_curve_takes_unit_steps(name, depth):
    path = ORDERS[name].decode(torch.arange(8**depth), depth)
    assert torch.equal(path.diff(dim=0).abs().sum(-1), torch.ones(8**depth - 1, dtype=torch.int64))


@pytest.mark.parametrize("depth", [16, MAX_DEPTH])
@pytest.mark.parametrize("name", CURVES)
def test_deep_codes_fit_and_decode(name, depth):
    last = (1 << depth) - 1
    draws = torch.randint(1 << depth, (200, 3), generator=torch.Generator().manual_seed(depth))
    corners = torch.cartesian_prod(*[torch.tensor([0, last])] * 3)
    grid = torch.cat([draws, corners])
    code = ORDERS[name].encode(grid, depth)
    assert int(code.min()) >= 0
    assert int(code.max()) < 1 << 3 * depth
    assert torch.equal(ORDERS[name].decode(code, depth), grid)


@pytest.mark.parametrize("name", CURVES)
def test_leading_axes_are_free(name):
    grid = cube(2).view(4, 4, 4, 3)
    code = ORDERS[name].encode(grid, 2)
    assert torch.equal(code.flatten(), ORDERS[name].encode(grid.view(-1, 3), 2))
    assert torch.equal(ORDERS[name].decode(code, 2), grid)


@pytest.mark.parametrize("name", CURVES)
def test_on_a_full_cube_serialize_follows_the_code(name):
    shuffled = cube(3)[torch.randperm(512, generator=torch.Generator().manual_seed(0))]
    perm = serialize(shuffled[None], name, depth=3).perm[0]
    assert torch.equal(shuffled[perm], ORDERS[name].decode(torch.arange(512), 3))


@pytest.mark.parametrize("name", sorted(set(ORDERS) - {"random"}))
def test_the_cells_alone_decide_up_to_ties(name):
    generator = torch.Generator().manual_seed(1)
    grid = torch.randint(9, (300, 3), generator=generator)
    shuffled = grid[torch.randperm(300, generator=generator)]
    one, two = (serialize(points[None], name) for points in (grid, shuffled))
    assert torch.equal(one.code[0][one.perm[0]], two.code[0][two.perm[0]])
    if isinstance(ORDERS[name], Curve):  # one cell, one code
        assert torch.equal(grid[one.perm[0]], shuffled[two.perm[0]])


@pytest.mark.parametrize("name", ORDERS)
def test_moving_the_cloud_by_whole_cells_changes_nothing(name):
    grid = torch.randint(40, (1, 100, 3), generator=torch.Generator().manual_seed(2))
    moved = grid + torch.tensor([-70, 5, 1_000_000_007])
    for one, two in zip(serialize(grid, name, seed=0), serialize(moved, name, seed=0), strict=True):
        assert torch.equal(one, two)

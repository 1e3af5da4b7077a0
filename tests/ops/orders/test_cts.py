import pytest
import torch

from pcmamba.ops.orders._registry import AXES
from pcmamba.ops.serialize import serialize


def box(*sides):
    return torch.cartesian_prod(*map(torch.arange, sides))


def shuffled(grid):
    return grid[torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))]


def test_a_box_of_twelve_cells_by_hand():
    path = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 1, 0), (1, 1, 0), (0, 1, 0)]
    path += [(0, 1, 1), (1, 1, 1), (2, 1, 1), (2, 0, 1), (1, 0, 1), (0, 0, 1)]
    grid = shuffled(box(3, 2, 2))
    found = serialize(grid[None], "cts-xyz")
    assert grid[found.perm[0]].tolist() == [list(cell) for cell in path]
    assert found.code[0][found.perm[0]].tolist() == list(range(12))


@pytest.mark.parametrize("sides", [(3, 4, 5), (4, 3, 2), (5, 1, 3), (1, 1, 6), (2, 7, 1)])
@pytest.mark.parametrize("name", AXES)
def test_unit_steps_through_any_full_box(name, sides):
    grid = shuffled(box(*sides))
    path = grid[serialize(grid[None], f"cts-{name}").perm[0]]
    assert (path.diff(dim=0).abs().sum(-1) == 1).all()


@pytest.mark.parametrize("name", AXES)
def test_the_first_axis_named_runs_fastest(name):
    grid = shuffled(box(3, 3, 3))
    steps = grid[serialize(grid[None], f"cts-{name}").perm[0]].diff(dim=0).abs()
    moves = steps.sum(0)[list(AXES[name])]
    assert moves.tolist() == [18, 6, 2]


def test_widths_are_those_of_the_own_cloud():
    small, large = box(2, 2, 2)[:6], box(2, 2, 2)[:6] * 5
    found = serialize(torch.stack([small, large]), "cts-xyz")
    assert int(found.code[0].max()) < 8
    assert int(found.code[1].max()) >= 8

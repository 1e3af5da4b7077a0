import numpy as np
import pytest
import torch

from pcmamba.ops._cells import Clouds, make_grid


@pytest.mark.parametrize("grid_size", [0.02, 0.04])
def test_cells_are_floored_float32_quotients(grid_size):
    # Points at the borders of cells, where multiplication by the reciprocal decides otherwise.
    borders = (np.arange(-3000, 3000) * np.float32(grid_size)).astype(np.float32)
    quotient = np.floor(borders / np.float32(grid_size))
    assert (quotient != np.floor(borders * (np.float32(1) / np.float32(grid_size)))).any()
    xyz = torch.from_numpy(borders)[None, :, None].expand(1, -1, 3)
    grid, extent = make_grid(xyz, Clouds.of(xyz, None), grid_size, None)
    wanted = torch.from_numpy(quotient - quotient.min()).long()
    assert torch.equal(grid, wanted[None, :, None].expand(1, -1, 3))
    assert extent.flatten().tolist() == [int(wanted.max())] * 3


def test_cells_below_zero_are_floored_not_cut():
    xyz = torch.tensor([[[-0.5, 0, 0], [0.5, 0, 0], [-1.5, 0, 0]]])
    grid, _ = make_grid(xyz, Clouds.of(xyz, None), 1.0, None)
    assert grid[0, :, 0].tolist() == [1, 2, 0]


def test_ragged_clouds_have_their_own_bounds():
    offsets = torch.tensor([0, 2, 2, 5])
    values = torch.tensor([[1, 5, 0], [3, 2, 0], [7, 1, 1], [-4, 0, 9], [2, 3, 2]])
    clouds = Clouds.of(values, offsets)
    assert clouds.place.tolist() == [0, 1, 0, 1, 2]
    assert clouds.row.tolist() == [0, 0, 2, 2, 2]
    low, high = clouds.smallest(values), clouds.largest(values)
    assert low.tolist() == [[1, 2, 0]] * 2 + [[-4, 0, 1]] * 3
    assert high.tolist() == [[3, 5, 0]] * 2 + [[7, 3, 9]] * 3

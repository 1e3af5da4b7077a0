import torch

from pcmamba.ops.serialize import serialize


def test_x_fastest_then_y_then_z_without_reversal():
    grid = torch.tensor([[1, 1, 1], [0, 0, 1], [2, 1, 0], [0, 1, 0], [2, 0, 0], [1, 0, 0]])
    path = grid[serialize(grid[None], "raster").perm[0]]
    wanted = [[1, 0, 0], [2, 0, 0], [0, 1, 0], [2, 1, 0], [0, 0, 1], [1, 1, 1]]
    assert path.tolist() == wanted

import pytest
import torch

from pcmamba.kernels.serialize_cpu import hilbert_encode
from pcmamba.ops.orders import ORDERS


@pytest.mark.parametrize("depth", [1, 7, 20])
@pytest.mark.parametrize("points", [0, 1, 63, 257])
def test_equal_to_the_reference(depth, points):
    generator = torch.Generator().manual_seed(points)
    grid = torch.randint(1 << depth, (points, 3), generator=generator)
    assert torch.equal(hilbert_encode(grid, depth), ORDERS["hilbert"].encode(grid, depth))


def test_strided_cells_and_leading_axes():
    grid = torch.randint(64, (6, 3, 20), generator=torch.Generator().manual_seed(0))
    strided = grid.transpose(1, 2)[::2]
    assert torch.equal(hilbert_encode(strided, 6), ORDERS["hilbert"].encode(strided, 6))

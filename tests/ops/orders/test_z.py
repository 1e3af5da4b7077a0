import pytest
import torch

from pcmamba.ops.orders import ORDERS


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ((1, 0, 0), 0b100),
        ((0, 1, 0), 0b010),
        ((0, 0, 1), 0b001),
        ((0b11, 0b10, 0b01), 0b110_101),
        ((0b100, 0, 0b011), 0b100_001_001),
    ],
)
def test_bits_are_woven_x_first(cell, code):
    assert int(ORDERS["z"].encode(torch.tensor(cell), 3)) == code


def test_trans_swaps_x_and_y():
    grid = torch.randint(64, (50, 3), generator=torch.Generator().manual_seed(0))
    swapped = grid[:, [1, 0, 2]]
    assert torch.equal(ORDERS["z-trans"].encode(grid, 6), ORDERS["z"].encode(swapped, 6))


def test_the_code_does_not_depend_on_the_depth():
    grid = torch.randint(16, (50, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(ORDERS["z"].encode(grid, 4), ORDERS["z"].encode(grid, 20))

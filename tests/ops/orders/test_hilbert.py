import pytest
import torch

from pcmamba.ops.orders import ORDERS
from pcmamba.ops.serialize import serialize


def by_the_book(cell, depth):
    """Number one cell bit by bit, g[dim][bit] with bit 0 the most significant."""
    g = [[value >> (depth - 1 - bit) & 1 for bit in range(depth)] for value in cell]
    for bit in range(depth):
        for dim in range(3):
            for low in range(bit + 1, depth):
                if g[dim][bit]:
                    g[0][low] ^= 1
                else:
                    g[0][low], g[dim][low] = g[dim][low], g[0][low]
    code, running = 0, 0
    for bit in range(depth):
        for dim in range(3):
            running ^= g[dim][bit]
            code = code << 1 | running
    return code


def test_the_smallest_cube_by_hand():
    path = ORDERS["hilbert"].decode(torch.arange(8), 1)
    wanted = ["000", "001", "011", "010", "110", "111", "101", "100"]
    assert ["".join(map(str, cell)) for cell in path.tolist()] == wanted


@pytest.mark.parametrize("depth", [2, 5, 20])
def test_codes_follow_the_transform_bit_by_bit(depth):
    grid = torch.randint(1 << depth, (40, 3), generator=torch.Generator().manual_seed(depth))
    wanted = [by_the_book(cell, depth) for cell in grid.tolist()]
    assert ORDERS["hilbert"].encode(grid, depth).tolist() == wanted


def test_trans_swaps_x_and_y():
    grid = torch.randint(64, (50, 3), generator=torch.Generator().manual_seed(0))
    swapped, plain = ORDERS["hilbert-trans"], ORDERS["hilbert"]
    assert torch.equal(swapped.encode(grid, 6), plain.encode(grid[:, [1, 0, 2]], 6))


def test_the_code_depends_on_the_depth_in_steps_of_three():
    grid = torch.randint(8, (50, 3), generator=torch.Generator().manual_seed(0))
    code = {depth: ORDERS["hilbert"].encode(grid, depth) for depth in (3, 4, 5, 6, 7)}
    assert torch.equal(code[3], code[6])
    assert torch.equal(code[4], code[7])
    assert not torch.equal(code[3], code[4])
    assert not torch.equal(code[3], code[5])


@pytest.mark.parametrize("impl", ["reference", "cpu"])
@pytest.mark.parametrize("name", ["hilbert", "hilbert-trans"])
def test_the_depth_is_that_of_each_cloud(name, impl):
    generator = torch.Generator().manual_seed(3)
    clouds = [torch.randint(1 << depth, (80, 3), generator=generator) for depth in (2, 3, 4, 6)]
    grid = torch.stack([cloud - cloud.amin(0) for cloud in clouds])
    code = serialize(grid, name, impl=impl).code
    for cloud, found in zip(grid, code, strict=True):
        assert torch.equal(found, ORDERS[name].encode(cloud, int(cloud.max()).bit_length()))


@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_the_depth_of_the_batch_and_the_depth_given(impl):
    generator = torch.Generator().manual_seed(4)
    small, large = (torch.randint(side, (80, 3), generator=generator) for side in (9, 100))
    grid = torch.stack([small - small.amin(0), large - large.amin(0)])
    batch = serialize(grid, "hilbert", parity="batch", impl=impl).code
    assert torch.equal(batch, ORDERS["hilbert"].encode(grid, 7))
    given = serialize(grid, "hilbert", depth=9, impl=impl).code
    assert torch.equal(given, ORDERS["hilbert"].encode(grid, 9))
    assert not torch.equal(given, batch)


def test_one_cell_has_code_zero():
    assert serialize(torch.full((1, 4, 3), 7), "hilbert").code.tolist() == [[0, 0, 0, 0]]

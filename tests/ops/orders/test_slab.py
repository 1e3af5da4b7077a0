import pytest
import torch

from pcmamba.ops.orders._registry import AXES
from pcmamba.ops.serialize import serialize


def cloud(y, z):
    """Three points along x, with largest cells `y` and `z` on the other axes."""
    return torch.tensor([[1, 0, 0], [0, y, 0], [2, 0, z]])


@pytest.mark.parametrize(
    ("y", "z", "perm"),
    [
        (4, 6, [1, 0, 2]),
        (3, 5, [1, 0, 2]),
        (4, 5, [2, 0, 1]),
        (3, 6, [2, 0, 1]),
    ],
)
def test_up_if_the_other_extents_have_the_same_parity(y, z, perm):
    found = serialize(cloud(y, z)[None], "slab-xyz")
    assert found.perm[0].tolist() == perm
    assert found.code[0].tolist() == [1, 0, 2] if perm == [1, 0, 2] else [1, 2, 0]


def test_parity_of_the_cloud_or_of_the_batch():
    pair = torch.stack([cloud(4, 6), cloud(5, 6)])
    own = serialize(pair, "slab-xyz").perm
    assert own.tolist() == [[1, 0, 2], [2, 0, 1]]
    batch = serialize(pair, "slab-xyz", parity="batch").perm
    assert batch.tolist() == [[2, 0, 1], [2, 0, 1]]


@pytest.mark.parametrize(("one", "two"), [("xyz", "xzy"), ("yxz", "yzx"), ("zxy", "zyx")])
def test_six_names_are_three_orders(one, two):
    grid = torch.randint(6, (3, 50, 3), generator=torch.Generator().manual_seed(0))
    found = serialize(grid, [f"slab-{one}", f"slab-{two}"])
    assert torch.equal(found.perm[0], found.perm[1])
    # The second directly after the first finds every point in place.
    again = grid.gather(1, found.perm[0][..., None].expand(-1, -1, 3))
    assert torch.equal(serialize(again, f"slab-{two}").perm, torch.arange(50).expand(3, -1))


@pytest.mark.parametrize("name", AXES)
def test_slabs_lie_across_the_first_axis_and_keep_the_order_inside(name):
    grid = torch.randint(5, (1, 60, 3), generator=torch.Generator().manual_seed(1))
    perm = serialize(grid, f"slab-{name}").perm[0]
    slab = grid[0, :, AXES[name][0]][perm]
    steps = slab.diff()
    assert (steps >= 0).all() or (steps <= 0).all()
    assert (perm.diff()[steps == 0] > 0).all()


def test_a_flat_cloud_stays_in_its_cloud():
    # The released key mixes the clouds of a batch that is flat on an axis not named first.
    grid = torch.tensor([[[1, 0, 0], [0, 3, 0]], [[0, 1, 0], [1, 0, 0]]])
    assert serialize(grid, "slab-xyz", parity="batch").perm.tolist() == [[0, 1], [1, 0]]

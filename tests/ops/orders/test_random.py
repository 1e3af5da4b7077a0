import pytest
import torch

from pcmamba.ops.orders import ORDERS, Cells
from pcmamba.ops.serialize import serialize


def draw(points, seed, **options):
    grid = torch.zeros(1, points, 3, dtype=torch.int64)
    return serialize(grid, "random", seed=seed, **options)


def test_the_hash_is_splitmix64():
    # First outputs of the published generator for the seed 0, without the top bit.
    words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    code = draw(4, 0).code[0]
    assert code.tolist() == [word & (1 << 63) - 1 for word in words]


def test_a_seed_gives_one_permutation_and_another_seed_another():
    assert torch.equal(draw(100, 5).perm, draw(100, 5).perm)
    assert not torch.equal(draw(100, 5).perm, draw(100, 6).perm)
    assert draw(100, 2**63 - 1).perm.sort().values.tolist() == [list(range(100))]


def test_cells_and_batch_mates_change_nothing():
    grid = torch.randint(50, (3, 64, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(serialize(grid, "random", seed=1).perm, draw(64, 1).perm.expand(3, -1))


def test_every_place_is_as_likely_as_another():
    places = torch.stack([draw(8, seed).inverse[0] for seed in range(800)])
    for point in range(8):
        counts = places[:, point].bincount(minlength=8)
        assert float((counts - 100).square().sum() / 100) < 27  # chi-square, 7 degrees: p < 4e-4


@pytest.mark.parametrize("seed", [None, -1, 2**63])
def test_a_seed_is_needed_and_has_a_range(seed):
    with pytest.raises(ValueError, match=r"^seed must be 0 to 2\*\*63 - 1 .*, got"):
        draw(3, seed)


def test_a_key_without_a_seed_is_refused():
    grid = torch.zeros(1, 2, 3, dtype=torch.int64)
    cells = Cells(grid, grid[:, :1], grid[:, :1], torch.arange(2))
    with pytest.raises(ValueError, match="seed must be an integer for the order 'random'"):
        ORDERS["random"].key(cells)

"""Counter-based random numbers: known answers, statistics, independence of everything else."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch
from torch import Tensor

from pcmamba.data.batch import Draw
from pcmamba.data.random import _mix, bits, normal, permutation, uniform

GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1
COUNT = 2**16


def _unsigned(values: Tensor) -> list[int]:
    return [value & MASK for value in values.flatten().tolist()]


def _splitmix(value: int) -> int:
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def test_the_mixer_gives_the_published_splitmix64_sequence():
    states = [(1234567 + k * GOLDEN) & MASK for k in range(1, 6)]
    states = torch.tensor([s - 2**64 if s >= 2**63 else s for s in states])
    assert _unsigned(_mix(states)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 3), (-1, 10**12), (2**64 + 5, -2)])
def test_bits_follow_the_equation_in_python_integers(seed: int, epoch: int):
    stream = int.from_bytes(hashlib.sha256(b"scale").digest()[:8], "little")
    key = _splitmix(_splitmix(_splitmix(seed) + epoch * GOLDEN) ^ stream)
    expected = [
        _splitmix(_splitmix(key + (i + 1) * GOLDEN) + (c + 1) * GOLDEN)
        for i in (0, 5, 2**40)
        for c in range(4)
    ]
    drawn = bits(seed, epoch, torch.tensor([0, 5, 2**40]), "scale", (2, 2))
    assert drawn.shape == (3, 2, 2)
    assert drawn.dtype == torch.int64
    assert _unsigned(drawn) == expected


def test_a_draw_depends_neither_on_its_neighbours_nor_on_their_order():
    index = torch.tensor([4, 0, 9, 4])
    whole = uniform(1, 2, index, "shift", (3,))
    for row, i in zip(whole, index, strict=True):
        assert torch.equal(row, uniform(1, 2, i, "shift", (3,)))
    assert torch.equal(whole[:, :2], uniform(1, 2, index, "shift", (2,)))
    assert torch.equal(
        normal(1, 2, index, "shift", (3,))[2], normal(1, 2, index[2:3], "shift", (3,))[0]
    )


def test_the_global_generator_is_neither_read_nor_moved():
    state = torch.get_rng_state()
    first = normal(0, 0, torch.arange(8), "jitter", (5,))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(first, normal(0, 0, torch.arange(8), "jitter", (5,)))


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda: uniform(0, 0, torch.arange(COUNT), "a"), id="along indices"),
        pytest.param(lambda: uniform(0, 0, torch.tensor(3), "a", (COUNT,)), id="along elements"),
        pytest.param(
            lambda: torch.stack([uniform(s, 0, torch.tensor(0), "a") for s in range(4096)]),
            id="along seeds",
        ),
        pytest.param(
            lambda: torch.stack([uniform(0, e, torch.tensor(0), "a") for e in range(4096)]),
            id="along epochs",
        ),
        pytest.param(
            lambda: torch.stack([uniform(0, 0, torch.tensor(0), str(s)) for s in range(4096)]),
            id="along streams",
        ),
    ],
)
def test_uniforms_are_uniform_and_neighbours_uncorrelated(draw):
    values = draw()
    assert values.dtype == torch.float32
    assert 0.0 <= values.min() <= values.max() < 1.0
    values, n = values.double(), len(values)
    assert abs(values.mean() - 0.5) < 4 * math.sqrt(1 / 12 / n)
    assert abs(values.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / n)
    counts = torch.histc(values, 64, 0.0, 1.0)
    chi2 = ((counts - n / 64) ** 2 / (n / 64)).sum()
    assert 63 - 4 * math.sqrt(126) < chi2 < 63 + 4 * math.sqrt(126)
    for lag in (1, 2, 16):
        pair = torch.stack([values[lag:], values[:-lag]])
        assert abs(torch.corrcoef(pair)[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 0, "a"), (1, 0, "a")), ((0, 0, "a"), (0, 1, "a")), ((0, 0, "a"), (0, 0, "b"))],
    ids=["seed", "epoch", "stream"],
)
def test_other_keys_give_unrelated_numbers(first, second):
    def drawn(key):
        return uniform(key[0], key[1], torch.arange(COUNT), key[2]).double()

    pair = torch.stack([drawn(first), drawn(second)])
    assert abs(torch.corrcoef(pair)[0, 1]) < 4 / math.sqrt(COUNT)
    # Not the same sequence from another place either.
    assert len(set(pair[0].tolist()) & set(pair[1].tolist())) < 3 * COUNT**2 / 2**24


def test_every_bit_is_set_half_the_time():
    drawn = bits(0, 0, torch.arange(COUNT), "bits")
    share = torch.stack([((drawn >> k) & 1).double().mean() for k in range(64)])
    assert (share - 0.5).abs().max() < 4.5 * 0.5 / math.sqrt(COUNT)


def test_normals_have_the_moments_of_the_normal_distribution():
    values = normal(5, 6, torch.arange(COUNT), "noise").double()
    n = len(values)
    assert abs(values.mean()) < 4 / math.sqrt(n)
    assert abs(values.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((values**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((values**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert values.abs().max() < 6.8
    inside = torch.stack([(values.abs() < k).double().mean() for k in (1, 2, 3)])
    assert torch.allclose(inside, torch.tensor([0.6827, 0.9545, 0.9973]).double(), atol=0.01)


def test_permutations_are_permutations_and_all_places_alike():
    drawn = permutation(0, 0, torch.arange(4000), "order", 8)
    assert torch.equal(drawn.sort(dim=-1).values, torch.arange(8).expand(4000, 8))
    counts = torch.stack([(drawn == k).sum(dim=0) for k in range(8)]).double()
    chi2 = ((counts - 500) ** 2 / 500).sum()
    assert chi2 < 49 + 5 * math.sqrt(98)


def test_sizes_zero_and_one():
    assert bits(0, 0, torch.arange(0), "a", (3,)).shape == (0, 3)
    assert bits(0, 0, torch.arange(2), "a", (0,)).shape == (2, 0)
    assert permutation(0, 0, torch.tensor(0), "a", 1).tolist() == [0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_an_index_that_is_no_integer_is_refused(dtype: torch.dtype):
    with pytest.raises(TypeError, match="index must be an integer tensor, got torch"):
        bits(0, 0, torch.zeros(2, dtype=dtype), "a")


@pytest.mark.gpu
def test_the_gpu_draws_the_same_bits():
    index = torch.arange(1000)
    for draw in (bits, uniform):
        here = draw(3, 4, index, "a", (5,))
        assert torch.equal(draw(3, 4, index.cuda(), "a", (5,)).cpu(), here)
    assert torch.equal(
        permutation(3, 4, index.cuda(), "a", 33).cpu(), permutation(3, 4, index, "a", 33)
    )
    here, there = normal(3, 4, index, "a", (5,)), normal(3, 4, index.cuda(), "a", (5,)).cpu()
    assert torch.allclose(here, there, rtol=0, atol=1e-6)


def test_ragged_draws_are_those_of_the_rectangle():
    index = torch.tensor([4, 0, 9, 4])
    row, number = torch.tensor([[0, 0, 1, 3, 3, 3], [0, 1, 0, 0, 1, 6]])
    draw = Draw(3, 2)
    found = draw.uniform_at(index, "drop", row, number)
    assert torch.equal(found, uniform(3, 2, index, "drop", (7,))[row, number])
    found = draw.normal_at(index, "drop", row, number)
    assert torch.equal(found, normal(3, 2, index, "drop", (7,))[row, number])

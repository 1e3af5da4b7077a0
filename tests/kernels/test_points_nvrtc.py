"""The CUDA kernels on points, emulated: the indices of the reference, ties and ragged included."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from pcmamba.kernels import _nvrtc, farthest_point_sample_nvrtc, knn_nvrtc
from pcmamba.ops import farthest_point_sample, knn
from tests.kernels.cuda_emulation import EmulatedKernel, has_compiler

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs g++")


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def emulated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the kernels on the CPU, the threads of a block in either order."""

    def load(source: str, entry: str, signature: str, macros: tuple, device: int | None):
        return EmulatedKernel(source, entry, signature, macros, request.param)

    monkeypatch.setattr(_nvrtc, "load", functools.cache(load))


def cloud(rows: int, seed: int = 0, lattice: int = 0) -> Tensor:
    """Random coordinates; with `lattice`, whole numbers below it, full of ties."""
    draw = torch.Generator().manual_seed(seed)
    if lattice:
        return torch.randint(0, lattice, (rows, 3), generator=draw).float()
    return torch.randn(rows, 3, generator=draw)


def bounds(*lengths: int) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


def sampled(xyz: Tensor, lengths: list[int], counts: list[int]) -> list[Tensor]:
    """The kernel's samples and the reference's; starts are the last points."""
    offsets, starts = bounds(*lengths), torch.tensor(lengths) - 1
    cuts, rows = bounds(*counts), sum(counts)
    found = farthest_point_sample_nvrtc.farthest_point_sample_fwd(
        xyz, offsets, starts, cuts, rows, max(lengths)
    )
    expected = farthest_point_sample(
        xyz, torch.tensor(counts), start=starts, offsets=offsets, impl="reference"
    )
    return [found, expected]


POINTS = [
    pytest.param(cloud(150), id="random"),
    pytest.param(cloud(150, lattice=3), id="lattice full of ties"),
    pytest.param(1e-22 * cloud(150), id="squares underflow"),
    pytest.param(1e25 * cloud(150), id="squares overflow"),
]


@pytest.mark.parametrize("xyz", POINTS)
def test_samples_from_registers(emulated: None, xyz: Tensor) -> None:
    found, expected = sampled(xyz, [110, 0, 33, 7], [25, 3, 12, 9])
    assert torch.equal(found, expected)


@pytest.mark.parametrize("most", [4096, 4])
@pytest.mark.parametrize("xyz", [cloud(1030), cloud(1030, lattice=6)])
def test_samples_from_boxes(
    emulated: None, monkeypatch: pytest.MonkeyPatch, xyz: Tensor, most: int
) -> None:
    monkeypatch.setattr(farthest_point_sample_nvrtc, "REGISTER_POINTS", 64)
    monkeypatch.setattr(farthest_point_sample_nvrtc, "BOX_THREADS", 64)
    # With few slots the boxes grow.
    monkeypatch.setattr(farthest_point_sample_nvrtc, "MOST_SLOTS", most)
    found, expected = sampled(xyz, [700, 0, 321, 9], [60, 3, 20, 12])
    assert torch.equal(found, expected)


def test_shapes_hold_the_cloud() -> None:
    for longest in (1, 31, 33, 100, 1024, 1025, 4096, 8192):
        threads, points = farthest_point_sample_nvrtc.register_shape(longest)
        assert threads * points >= longest and threads <= 1024 and points <= 8
        assert threads % 32 == 0
    for longest in (8193, 16384, 131072, 10**6, 10**8):
        threads = farthest_point_sample_nvrtc.BOX_THREADS
        slots, size = farthest_point_sample_nvrtc.box_shape(longest)
        assert slots % 32 == 0 and slots * threads // 32 * size >= longest
        assert slots * threads // 32 * 36 <= 200 * 1024


def searched(query: Tensor, support: Tensor, cuts: list[int], lengths: list[int], k: int) -> None:
    """Assert that the kernels find what the reference finds, to the bit."""
    offsets = (bounds(*cuts), bounds(*lengths))
    idx, dist2 = knn_nvrtc.knn_fwd(query, support, *offsets, k)
    expected = knn(
        query, support, k, query_offsets=offsets[0], support_offsets=offsets[1], impl="reference"
    )
    assert torch.equal(idx, expected.idx) and torch.equal(dist2, expected.dist2)


@pytest.mark.parametrize("tree", [False, True])
def test_neighbours(emulated: None, monkeypatch: pytest.MonkeyPatch, tree: bool) -> None:
    monkeypatch.setattr(knn_nvrtc, "TREE_POINTS", 0 if tree else 10**9)
    cuts, lengths = [9, 0, 5, 3], [1100, 20, 3, 130]
    for lattice in (0, 5):
        support = cloud(sum(lengths), 1, lattice)
        query = cloud(sum(cuts), 2, lattice)
        for k in (1, 7, 32):
            searched(query, support, cuts, lengths, k)
    for scale in (1e-22, 1e25):
        searched(scale * cloud(4, 3), scale * cloud(90, 4), [4], [90], 6)
    same = cloud(200, 5, 4)
    searched(same, same, [200], [200], 9)


def test_a_tree_of_more_levels(emulated: None) -> None:
    assert len(knn_nvrtc.tree_slots(40_000, 1)) == 3
    searched(cloud(4, 6), cloud(40_000, 7), [4], [40_000], 16)


def test_named_for_cpu_tensors_it_is_refused() -> None:
    with pytest.raises(ValueError, match="impl='nvrtc' must get CUDA tensors, got cpu"):
        farthest_point_sample(cloud(9)[None], 2, impl="nvrtc")
    with pytest.raises(ValueError, match="impl='nvrtc' must get CUDA tensors, got cpu"):
        knn(cloud(9)[None], cloud(9)[None], 2, impl="nvrtc")


@pytest.mark.gpu
@pytest.mark.parametrize("lattice", [0, 12])
@pytest.mark.parametrize(("points", "count"), [(100, 50), (1024, 512), (8192, 300), (20000, 700)])
def test_samples_on_the_gpu(points: int, count: int, lattice: int) -> None:
    xyz = cloud(3 * points, lattice=lattice).view(3, points, 3)
    found = [farthest_point_sample(xyz.cuda(), count, impl="nvrtc").cpu() for _ in range(2)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], farthest_point_sample(xyz, count, impl="cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize("lattice", [0, 12])
@pytest.mark.parametrize(("points", "k"), [(100, 32), (1024, 24), (5000, 16), (60000, 16)])
def test_neighbours_on_the_gpu(points: int, k: int, lattice: int) -> None:
    support = cloud(2 * points, lattice=lattice).view(2, points, 3)
    query = cloud(2000, 1, lattice).view(2, 1000, 3)
    found = [knn(query.cuda(), support.cuda(), k, impl="nvrtc") for _ in range(2)]
    expected = knn(query, support, k, impl="cpu")
    for idx, dist2 in found:
        assert torch.equal(idx.cpu(), expected.idx) and torch.equal(dist2.cpu(), expected.dist2)
    with pytest.raises(ValueError, match="k must be at most 32 for impl='nvrtc', got 33"):
        knn(query.cuda(), support.cuda(), 33, impl="nvrtc")

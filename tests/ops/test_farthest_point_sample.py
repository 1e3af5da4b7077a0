"""Farthest point sampling: hand cases, laws, equal indices from every implementation."""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from torch import Tensor

from pcmamba.ops import farthest_point_sample
from pcmamba.ops._impl import interpreting
from pcmamba.ops.farthest_point_sample import farthest_point_sample_fwd

# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
IMPLS = ["reference", *KERNELS]


def cloud(*shape: int, seed: int = 0, lattice: int = 0) -> Tensor:
    """Random coordinates; with `lattice`, whole numbers below it, full of ties."""
    draw = torch.Generator().manual_seed(seed)
    if lattice:
        return torch.randint(0, lattice, (*shape, 3), generator=draw).float()
    return torch.randn(*shape, 3, generator=draw)


def along_x(*positions: float) -> Tensor:
    return torch.tensor([[[p, 0.0, 0.0] for p in positions]])


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    ("start", "samples"), [(0, [0, 2, 3, 1]), (3, [3, 2, 0, 1]), (1, [1, 2, 3, 0])]
)
def test_by_hand(impl: str, start: int, samples: list[int]) -> None:
    xyz = along_x(0.0, 1.0, 10.0, 4.0)
    assert farthest_point_sample(xyz, 4, start=start, impl=impl).tolist() == [samples]


@pytest.mark.parametrize("impl", IMPLS)
def test_equal_distances_take_the_lowest_index(impl: str) -> None:
    square = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]])
    assert farthest_point_sample(square, 4, impl=impl).tolist() == [[0, 3, 1, 2]]
    assert farthest_point_sample(square, 3, start=2, impl=impl).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("impl", IMPLS)
def test_one_place_only_gives_the_start_then_the_first_point(impl: str) -> None:
    xyz = torch.ones(1, 5, 3)
    assert farthest_point_sample(xyz, 4, start=2, impl=impl).tolist() == [[2, 0, 0, 0]]


CLOUDS = [
    pytest.param(cloud(3, 1), 1, id="one point"),
    pytest.param(cloud(2, 63), 40, id="63 points"),
    pytest.param(cloud(1, 257), 12, id="257 points"),
    pytest.param(cloud(2, 100, lattice=3), 35, id="lattice full of ties"),
    pytest.param(1e-22 * cloud(1, 40), 12, id="squares underflow"),
    pytest.param(1e25 * cloud(1, 40), 12, id="squares overflow"),
    pytest.param(1000 + 1e-3 * cloud(1, 50), 12, id="far from the origin"),
]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize(("xyz", "count"), CLOUDS)
def test_kernels_choose_what_the_reference_chooses(xyz: Tensor, count: int, impl: str) -> None:
    start = torch.arange(len(xyz)) % xyz.shape[1]
    expected = farthest_point_sample(xyz, count, start=start, impl="reference")
    assert torch.equal(farthest_point_sample(xyz, count, start=start, impl=impl), expected)


def test_long_clouds_choose_what_the_reference_chooses() -> None:
    for xyz in (cloud(2, 3000, seed=1), cloud(2, 3000, lattice=12)):
        expected = farthest_point_sample(xyz, 300, impl="reference")
        assert torch.equal(farthest_point_sample(xyz, 300, impl="cpu"), expected)


@pytest.mark.skipif("triton" not in KERNELS, reason="Triton compiles: see the tests marked gpu")
@pytest.mark.parametrize("lattice", [0, 2])
def test_clouds_beyond_the_registers(monkeypatch: pytest.MonkeyPatch, lattice: int) -> None:
    from pcmamba.kernels import farthest_point_sample_triton

    monkeypatch.setattr(farthest_point_sample_triton, "REGISTER_POINTS", 8)
    monkeypatch.setattr(farthest_point_sample_triton, "BLOCK_N", 16)
    xyz = cloud(2, 41, lattice=lattice)
    expected = farthest_point_sample(xyz, 10, start=5, impl="reference")
    assert torch.equal(farthest_point_sample(xyz, 10, start=5, impl="triton"), expected)


def test_each_sample_is_farthest_and_none_farther_than_the_one_before() -> None:
    xyz = cloud(1, 200)
    chosen = farthest_point_sample(xyz, 200, start=17)[0]
    assert chosen[0] == 17
    assert chosen.sort().values.tolist() == list(range(200))
    distance = torch.cdist(xyz[0].double(), xyz[0].double())
    gaps = []
    for m in range(1, 200):
        to_chosen = distance[:, chosen[:m]].amin(1)
        gaps.append(float(to_chosen[chosen[m]]))
        assert gaps[-1] >= float(to_chosen.max()) - 1e-6
    assert all(late <= early + 1e-6 for early, late in itertools.pairwise(gaps))


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_never_change_a_cloud(impl: str) -> None:
    xyz = cloud(4, 30)
    together = farthest_point_sample(xyz, 9, impl=impl)
    shuffle = torch.tensor([2, 0, 3, 1])
    assert torch.equal(farthest_point_sample(xyz[shuffle], 9, impl=impl), together[shuffle])
    for b in range(4):
        alone = farthest_point_sample(xyz[b : b + 1], 9, impl=impl)
        assert torch.equal(alone[0], together[b])


@pytest.mark.parametrize("impl", IMPLS)
def test_fewer_samples_are_the_first_of_more(impl: str) -> None:
    xyz = cloud(2, 30)
    more = farthest_point_sample(xyz, 9, impl=impl)
    assert torch.equal(farthest_point_sample(xyz, 4, impl=impl), more[:, :4])


@pytest.mark.parametrize("impl", IMPLS)
def test_ragged_is_the_clouds_one_by_one(impl: str) -> None:
    lengths, counts = [12, 0, 30, 5], torch.tensor([4, 3, 9, 7])
    starts = torch.tensor([3, 0, 29, 1])
    xyz = cloud(sum(lengths))
    offsets = torch.tensor([0, 12, 12, 42, 47])
    looped = []
    for points, count, start in zip(xyz.split(lengths), counts, starts, strict=True):
        most = min(int(count), len(points))
        samples = torch.full((int(count),), -1)
        if most:
            samples[:most] = farthest_point_sample(points[None], most, start=int(start))[0]
        looped.append(samples)
    found = farthest_point_sample(xyz, counts, start=starts, offsets=offsets, impl=impl)
    assert torch.equal(found, torch.cat(looped))


@pytest.mark.parametrize("impl", IMPLS)
def test_ragged_with_one_count_for_all(impl: str) -> None:
    xyz, offsets = cloud(2, 20), torch.tensor([0, 20, 40])
    dense = farthest_point_sample(xyz, 6, start=4)
    ragged = farthest_point_sample(xyz.flatten(0, 1), 6, start=4, offsets=offsets, impl=impl)
    assert torch.equal(ragged.view(2, 6), dense)


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_points_and_start(impl: str) -> None:
    wide = torch.randn(4, 5, 40, generator=torch.Generator().manual_seed(3))
    xyz = wide.transpose(1, 2)[::2, ::2, 1:4]
    start = torch.arange(4)[::2]
    expected = farthest_point_sample(xyz.clone(), 7, start=start.clone(), impl="reference")
    assert torch.equal(farthest_point_sample(xyz, 7, start=start, impl=impl), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_points_are_sampled_in_float32(dtype: torch.dtype) -> None:
    xyz = cloud(2, 60).to(dtype)
    assert torch.equal(farthest_point_sample(xyz, 20), farthest_point_sample(xyz.float(), 20))


def test_double_points_keep_their_precision() -> None:
    near, far = 1.0, 1.0 + 1e-12
    xyz = along_x(0.0, 0.0, 0.0).double()
    xyz[0, 1, 0], xyz[0, 2, 0] = near, far
    assert farthest_point_sample(xyz, 2).tolist() == [[0, 2]]
    assert farthest_point_sample(xyz.float(), 2).tolist() == [[0, 1]]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("shape", [(0, 5, 0), (0, 5, 3), (2, 0, 0), (2, 5, 0)])
def test_nothing_to_sample(impl: str, shape: tuple[int, int, int]) -> None:
    clouds, points, count = shape
    found = farthest_point_sample(torch.zeros(clouds, points, 3), count, impl=impl)
    assert found.shape == (clouds, count)
    assert found.dtype == torch.int64


def test_the_number_of_threads_changes_nothing() -> None:
    xyz = cloud(5, 400)
    before = torch.get_num_threads()
    many = farthest_point_sample(xyz, 100)
    torch.set_num_threads(1)
    one = farthest_point_sample(xyz, 100)
    torch.set_num_threads(before)
    assert torch.equal(one, many)


def test_points_that_need_gradients_are_sampled_without() -> None:
    xyz = cloud(1, 10).requires_grad_()
    assert not farthest_point_sample(xyz, 3).requires_grad


@pytest.mark.parametrize("impl", KERNELS)
def test_registration(impl: str) -> None:
    offsets, start = torch.tensor([0, 8, 14]), torch.tensor([0, 2])
    arguments = (cloud(14), offsets, start, torch.tensor([0, 3, 6]), 6, 14, impl)
    torch.library.opcheck(farthest_point_sample_fwd, arguments)


@pytest.mark.parametrize("impl", KERNELS)
def test_compiles_whole_for_any_size(impl: str) -> None:
    def sample(xyz: Tensor) -> Tensor:
        return farthest_point_sample(xyz, xyz.shape[1] // 2, impl=impl)

    compiled = torch.compile(sample, fullgraph=True, dynamic=True, backend="aot_eager")
    for xyz in (cloud(2, 12), cloud(3, 17)):
        assert torch.equal(compiled(xyz), sample(xyz))


ERRORS = [
    ({"xyz": torch.zeros(4, 3)}, ValueError, r"xyz must be \(B, N, 3\), got \(4, 3\)"),
    ({"num_samples": 6}, ValueError, "num_samples must be from 0 to the 5 points.*got 6"),
    ({"num_samples": -1}, ValueError, "num_samples must be from 0.*got -1"),
    ({"num_samples": torch.tensor([2])}, TypeError, "must be an int without offsets"),
    ({"start": 5}, ValueError, "start must be from 0 to 4 in cloud 0, got 5"),
    ({"start": -1}, ValueError, "start must be from 0 to 4 in cloud 0, got -1"),
    ({"start": torch.tensor([0, 0])}, ValueError, r"start must be \(1\), got \(2,\)"),
    ({"start": torch.tensor([0.0])}, TypeError, "start must be int64"),
    ({"xyz": torch.zeros(1, 5, 3).long()}, TypeError, "xyz must be real floating point"),
    ({"xyz": torch.full((1, 5, 3), torch.nan)}, ValueError, r"xyz must be finite, got nan at"),
    ({"xyz": torch.full((1, 5, 3), -torch.inf)}, ValueError, r"xyz must be finite, got -inf at"),
    ({"xyz": torch.zeros(5, 3), "offsets": torch.tensor([0, 4])}, ValueError, "rise from 0 to 5"),
    ({"xyz": torch.zeros(5, 3), "offsets": torch.tensor([0.0, 5.0])}, TypeError, "offsets must be"),
    (
        {
            "xyz": torch.zeros(5, 3),
            "offsets": torch.tensor([0, 5]),
            "num_samples": torch.tensor([-2]),
        },
        ValueError,
        "num_samples must be at least 0, got -2",
    ),
]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors(change: dict[str, Tensor], error: type, message: str, impl: str) -> None:
    arguments = {"xyz": torch.zeros(1, 5, 3), "num_samples": 2, "impl": impl, **change}
    with pytest.raises(error, match=message):
        farthest_point_sample(**arguments)


@pytest.mark.parametrize("impl", KERNELS)
def test_named_kernels_refuse_double(impl: str) -> None:
    with pytest.raises(TypeError, match=f"impl='{impl}' must get .* got float64"):
        farthest_point_sample(torch.zeros(1, 5, 3).double(), 2, impl=impl)


@pytest.mark.timing
def test_the_compiled_loop_is_several_times_faster_than_torch() -> None:
    xyz = cloud(1, 20000)
    farthest_point_sample(xyz, 8)
    # The same work a step: 128 samples instead of 1024 keep the torch loop short.
    torch_seconds = _seconds(xyz, "reference", 1)
    assert torch_seconds > 3 * _seconds(xyz, "cpu", 5)


def _seconds(xyz: Tensor, impl: str, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        farthest_point_sample(xyz, 128, impl=impl)
        times.append(time.perf_counter() - begin)
    return min(times)


@pytest.mark.gpu
@pytest.mark.parametrize("lattice", [0, 12])
@pytest.mark.parametrize(("points", "count"), [(1024, 512), (5000, 300), (20000, 300)])
def test_gpu_chooses_what_the_cpu_chooses(points: int, count: int, lattice: int) -> None:
    xyz = cloud(4, points, lattice=lattice)
    start = torch.tensor([0, 1, 5, points - 1])
    expected = farthest_point_sample(xyz, count, start=start, impl="cpu")
    for impl in ("triton", "reference"):
        found = farthest_point_sample(xyz.cuda(), count, start=start.cuda(), impl=impl)
        assert torch.equal(found.cpu(), expected)


@pytest.mark.gpu
def test_gpu_ragged() -> None:
    xyz, offsets = cloud(300), torch.tensor([0, 100, 100, 104, 300])
    expected = farthest_point_sample(xyz, 20, offsets=offsets, impl="cpu")
    found = farthest_point_sample(xyz.cuda(), 20, offsets=offsets.cuda(), impl="triton")
    assert torch.equal(found.cpu(), expected)

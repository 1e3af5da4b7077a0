"""Nearest neighbours: hand cases, laws, the same bits from every implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pcmamba.ops import Neighbors, knn
from pcmamba.ops._impl import interpreting
from pcmamba.ops.knn import knn_fwd
from pcmamba.ops.neighbors import neighbor_dist2, neighbors_bwd

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


def assert_same(found: Neighbors, expected: Neighbors) -> None:
    assert torch.equal(found.idx.cpu(), expected.idx.cpu())
    assert torch.equal(found.dist2.cpu(), expected.dist2.cpu())


@pytest.mark.parametrize("impl", IMPLS)
def test_by_hand(impl: str) -> None:
    found = knn(along_x(0.0, 5.0), along_x(1.0, 3.0, -2.0, 9.0), 3, impl=impl)
    assert found.idx.tolist() == [[[0, 2, 1], [1, 0, 3]]]
    assert found.dist2.tolist() == [[[1.0, 4.0, 9.0], [4.0, 16.0, 16.0]]]


@pytest.mark.parametrize("impl", IMPLS)
def test_equal_distances_are_in_index_order(impl: str) -> None:
    support = along_x(2.0, -1.0, 1.0, -2.0, 1.0, -1.0)
    found = knn(along_x(0.0), support, 5, impl=impl)
    assert found.idx.tolist() == [[[1, 2, 4, 5, 0]]]
    assert found.dist2.tolist() == [[[1.0, 1.0, 1.0, 1.0, 4.0]]]


SEARCHES = [
    pytest.param(cloud(3, 1), cloud(3, 1, seed=1), 1, id="one point"),
    pytest.param(cloud(1, 4), cloud(1, 63, seed=1), 12, id="63 points"),
    pytest.param(cloud(1, 3), cloud(1, 257, seed=1), 5, id="257 points"),
    pytest.param(cloud(2, 3), cloud(2, 20, seed=1), 20, id="all points"),
    pytest.param(cloud(2, 4, lattice=3), cloud(2, 50, lattice=3), 9, id="lattice full of ties"),
    pytest.param(torch.ones(1, 2, 3), torch.ones(1, 40, 3), 7, id="one place"),
    pytest.param(1e-22 * cloud(1, 3), 1e-22 * cloud(1, 30, seed=1), 6, id="squares underflow"),
    pytest.param(1e25 * cloud(1, 3), 1e25 * cloud(1, 30, seed=1), 6, id="squares overflow"),
    pytest.param(1e3 + cloud(1, 4), 1e3 + cloud(1, 40, seed=1), 6, id="far from the origin"),
]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize(("query", "support", "k"), SEARCHES)
def test_kernels_find_the_bits_of_the_reference(
    query: Tensor, support: Tensor, k: int, impl: str
) -> None:
    assert_same(knn(query, support, k, impl=impl), knn(query, support, k, impl="reference"))


@pytest.mark.parametrize(("points", "lattice"), [(1500, 0), (1500, 7), (700, 2)])
@pytest.mark.parametrize("k", [1, 12, 150])
def test_long_clouds_find_the_bits_of_the_reference(points: int, lattice: int, k: int) -> None:
    support = cloud(2, points, lattice=lattice)
    query = support[:, ::7]
    assert_same(knn(query, support, k, impl="cpu"), knn(query, support, k, impl="reference"))


@pytest.mark.skipif("triton" not in KERNELS, reason="Triton compiles: see the tests marked gpu")
@pytest.mark.parametrize("lattice", [0, 2])
def test_clouds_of_several_tiles(monkeypatch: pytest.MonkeyPatch, lattice: int) -> None:
    from pcmamba.kernels import knn_triton

    monkeypatch.setattr(knn_triton, "BLOCK_N", 32)
    query, support = cloud(1, 3), cloud(1, 100, seed=1, lattice=lattice)
    assert_same(knn(query, support, 9, impl="triton"), knn(query, support, 9, impl="reference"))


@pytest.mark.parametrize("impl", IMPLS)
def test_against_a_tree(impl: str) -> None:
    query, support = cloud(1, 5), cloud(1, 120, seed=1)
    found = knn(query, support, 8, impl=impl)
    distance, rows = cKDTree(support[0].double()).query(query[0].double(), 8)
    assert np.array_equal(found.idx[0].numpy(), rows)
    np.testing.assert_allclose(found.dist2[0].numpy(), distance**2, rtol=5e-7)


def test_distances_never_cancel() -> None:
    # The matrix form |q|^2 - 2 q.s + |s|^2 gives noise of about 0.1 here, also below zero.
    support = 1000 + 1e-3 * cloud(1, 100)
    found = knn(support, support, 4)
    assert torch.equal(found.idx[0, :, 0], torch.arange(100))
    assert torch.equal(found.dist2[0, :, 0], torch.zeros(100))
    exact = (support.double()[:, :, None] - support.double()[:, None]).square().sum(-1)
    torch.testing.assert_close(found.dist2.double(), exact.gather(2, found.idx), rtol=1e-6, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_never_change_a_cloud(impl: str) -> None:
    query, support = cloud(3, 2), cloud(3, 20, seed=1)
    together = knn(query, support, 4, impl=impl)
    shuffle = torch.tensor([2, 0, 1])
    shuffled = knn(query[shuffle], support[shuffle], 4, impl=impl)
    assert_same(shuffled, Neighbors(together.idx[shuffle], together.dist2[shuffle]))
    for b in range(3):
        alone = knn(query[b : b + 1], support[b : b + 1], 4, impl=impl)
        assert_same(alone, Neighbors(together.idx[b : b + 1], together.dist2[b : b + 1]))


@pytest.mark.parametrize("impl", IMPLS)
def test_ragged_is_the_clouds_one_by_one(impl: str) -> None:
    queries, points, k = [2, 3, 0, 1, 1], [9, 3, 5, 0, 30], 4
    query, support = cloud(7), cloud(47, seed=1)
    looped = []
    for q, s in zip(query.split(queries), support.split(points), strict=True):
        found = knn(q[None], s[None], min(k, len(s)), impl="reference") if len(s) else None
        idx, dist2 = torch.full((len(q), k), -1), torch.zeros(len(q), k)
        if found is not None:
            idx[:, : len(s)], dist2[:, : len(s)] = found.idx[0], found.dist2[0]
        looped.append((idx, dist2))
    offsets = {
        "query_offsets": torch.tensor([0, 2, 5, 5, 6, 7]),
        "support_offsets": torch.tensor([0, 9, 12, 17, 17, 47]),
    }
    found = knn(query, support, k, **offsets, impl=impl)
    expected = Neighbors(*(torch.cat(parts) for parts in zip(*looped, strict=True)))
    assert_same(found, expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_points(impl: str) -> None:
    wide = torch.randn(4, 5, 40, generator=torch.Generator().manual_seed(3))
    support = wide.transpose(1, 2)[::2, ::2, 1:4]
    query = support[:, ::6]
    found = knn(query, support, 5, impl=impl)
    assert_same(found, knn(query.clone(), support.clone(), 5, impl="reference"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_points_are_searched_in_float32(dtype: torch.dtype) -> None:
    query, support = cloud(2, 9).to(dtype), cloud(2, 60, seed=1).to(dtype)
    found = knn(query.requires_grad_(), support, 5)
    assert_same(found, knn(query.float(), support.float(), 5))
    (grad,) = torch.autograd.grad(found.dist2.sum(), query)
    assert grad.dtype == dtype


def test_double_points_keep_their_precision() -> None:
    support = along_x(1.0, 1.0).double()
    support[0, 0, 0] += 1e-12
    found = knn(along_x(0.0).double(), support, 2)
    assert found.idx.tolist() == [[[1, 0]]]
    assert found.dist2.dtype == torch.float64


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5)])
def test_no_queries(impl: str, shape: tuple[int, int, int]) -> None:
    clouds, queries, points = shape
    found = knn(torch.zeros(clouds, queries, 3), torch.zeros(clouds, points, 3), 2, impl=impl)
    assert found.idx.shape == found.dist2.shape == (clouds, queries, 2)
    assert found.idx.dtype == torch.int64


def test_the_number_of_threads_changes_nothing() -> None:
    support = cloud(3, 300)
    before = torch.get_num_threads()
    many = knn(support, support, 6)
    torch.set_num_threads(1)
    one = knn(support, support, 6)
    torch.set_num_threads(before)
    assert_same(one, many)


def test_gradcheck_of_the_reference() -> None:
    query, support = cloud(2, 3).double(), cloud(2, 7, seed=1).double()
    inputs = (query.requires_grad_(), support.requires_grad_())

    def distances(query: Tensor, support: Tensor) -> Tensor:
        return knn(query, support, 3, impl="reference").dist2

    assert torch.autograd.gradcheck(distances, inputs)
    assert torch.autograd.gradgradcheck(distances, inputs)


def test_backward_in_double_is_the_gradient_of_the_reference() -> None:
    query, support = cloud(1, 4).double(), cloud(1, 6, seed=1).double()
    idx = torch.tensor([[[0, 1, 5], [2, 2, -1], [-1, -1, -1], [5, 0, 3]]])
    grad = torch.randn(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    inputs = (query.requires_grad_(), support.requires_grad_())
    expected = torch.autograd.grad(neighbor_dist2(*inputs, idx), inputs, grad)
    offsets = (torch.tensor([0, 4]), torch.tensor([0, 6]))
    found = neighbors_bwd(grad[0], query[0].detach(), support[0].detach(), idx[0], *offsets)
    for actual, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(actual, truth[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("impl", KERNELS)
def test_gradients_of_the_kernels(impl: str) -> None:
    query, support = cloud(2, 4), cloud(2, 9, seed=1)
    weight = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2))
    narrow = [t.clone().requires_grad_() for t in (query, support)]
    wide = [t.double().requires_grad_() for t in (query, support)]
    found = torch.autograd.grad(knn(*narrow, 3, impl=impl).dist2, narrow, weight)
    again = torch.autograd.grad(knn(*narrow, 3, impl=impl).dist2, narrow, weight)
    truth = torch.autograd.grad(knn(*wide, 3, impl="reference").dist2, wide, weight.double())
    for actual, repeated, exact in zip(found, again, truth, strict=True):
        torch.testing.assert_close(actual.double(), exact, rtol=1e-6, atol=1e-6)
        assert torch.equal(actual, repeated)


@pytest.mark.parametrize("impl", IMPLS)
def test_indices_are_not_differentiable(impl: str) -> None:
    support = cloud(1, 9).requires_grad_()
    found = knn(support, support, 3, impl=impl)
    assert not found.idx.requires_grad
    assert found.dist2.requires_grad


def test_second_backward_is_refused() -> None:
    support = cloud(1, 9).requires_grad_()
    total = knn(support, support, 3, impl="cpu").dist2.sum()
    (grad,) = torch.autograd.grad(total, support, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
def test_registration(impl: str) -> None:
    query, support = cloud(3).requires_grad_(), cloud(14, seed=1).requires_grad_()
    offsets = (torch.tensor([0, 2, 3]), torch.tensor([0, 8, 14]))
    torch.library.opcheck(knn_fwd, (query, support, *offsets, 4, impl))
    dist2, idx = knn_fwd(query, support, *offsets, 4, impl)
    points = (query.detach(), support.detach())
    torch.library.opcheck(neighbors_bwd, (torch.ones_like(dist2), *points, idx, *offsets))


@pytest.mark.parametrize("impl", KERNELS)
def test_compiles_whole_for_any_size(impl: str) -> None:
    def loss(query: Tensor, support: Tensor) -> Tensor:
        return knn(query, support, 3, impl=impl).dist2.exp().sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for queries, points in ((2, 12), (3, 17)):
        inputs = (cloud(2, queries).requires_grad_(), cloud(2, points, seed=1).requires_grad_())
        found = torch.autograd.grad(compiled(*inputs), inputs)
        for actual, expected in zip(found, torch.autograd.grad(loss(*inputs), inputs), strict=True):
            torch.testing.assert_close(actual, expected)


OFFSETS = torch.tensor([0, 4])
ERRORS = [
    ({"query": torch.zeros(4, 3)}, ValueError, r"query must be \(B, M, 3\), got \(4, 3\)"),
    ({"support": torch.zeros(2, 5, 3)}, ValueError, r"support must be .* with B = 1 from query"),
    ({"k": 0}, ValueError, "k must be at least 1, got 0"),
    ({"k": 6}, ValueError, "k must be at most the 5 points of support, got 6"),
    ({"query": torch.zeros(1, 4, 3).int()}, TypeError, "query must be real floating point"),
    ({"query": torch.zeros(1, 4, 3).double()}, TypeError, "support must have the dtype of query"),
    ({"query": torch.full((1, 4, 3), torch.nan)}, ValueError, "query must be finite, got nan"),
    ({"support": torch.full((1, 5, 3), torch.inf)}, ValueError, "support must be finite, got inf"),
    ({"query_offsets": OFFSETS}, ValueError, "must be given together, got one"),
    (
        {"query": torch.zeros(4, 3), "support": torch.zeros(5, 3), "query_offsets": OFFSETS,
             "support_offsets": OFFSETS},
        ValueError,
        r"offsets must rise from 0 to 5, got \[0, 4\]",
    ),
    (
        {"query": torch.zeros(4, 3), "support": torch.zeros(4, 3), "query_offsets": OFFSETS,
             "support_offsets": torch.tensor([0, 2, 4])},
        ValueError,
        r"support_offsets must be \(C\) with C = 2 from query_offsets",
    ),
    (
        {"query": torch.zeros(4, 3), "support": torch.zeros(4, 3), "query_offsets": OFFSETS,
             "support_offsets": OFFSETS.float()},
        TypeError,
        "support_offsets must be int64",
    ),
]  # fmt: skip


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors(change: dict[str, Tensor], error: type, message: str, impl: str) -> None:
    points = {"query": torch.zeros(1, 4, 3), "support": torch.zeros(1, 5, 3)}
    with pytest.raises(error, match=message):
        knn(**{**points, "k": 2, "impl": impl, **change})


@pytest.mark.parametrize("impl", KERNELS)
def test_named_kernels_refuse_double(impl: str) -> None:
    points = torch.zeros(1, 5, 3, dtype=torch.float64)
    with pytest.raises(TypeError, match=f"impl='{impl}' must get .* got float64"):
        knn(points, points, 2, impl=impl)


@pytest.mark.gpu
@pytest.mark.parametrize("lattice", [0, 7])
@pytest.mark.parametrize("k", [1, 12, 100])
def test_gpu_finds_what_the_cpu_finds(k: int, lattice: int) -> None:
    support = cloud(4, 1024, lattice=lattice)
    expected = knn(support, support, k, impl="cpu")
    for impl in ("triton", "reference"):
        assert_same(knn(support.cuda(), support.cuda(), k, impl=impl), expected)


@pytest.mark.gpu
def test_gpu_gradients_repeat_and_agree() -> None:
    support = cloud(4, 1024)
    weight = torch.rand(4, 1024, 12, generator=torch.Generator().manual_seed(2))
    here, there = support.clone().requires_grad_(), support.cuda().requires_grad_()
    (expected,) = torch.autograd.grad(knn(here, here, 12).dist2, here, weight)
    grads = [
        torch.autograd.grad(knn(there, there, 12).dist2, there, weight.cuda())[0] for _ in range(2)
    ]
    assert torch.equal(*grads)
    torch.testing.assert_close(grads[0].cpu(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_gpu_reaches_past_two_to_the_thirty_first() -> None:
    rows = math.ceil(2**31 / 3 / 1000) * 1000 + 1000
    if torch.cuda.mem_get_info()[0] < 40 * rows:
        pytest.skip("needs 30 GiB of free memory")
    support = torch.zeros(rows, 3, device="cuda")
    support[-500:] = cloud(500).cuda()
    offsets = torch.tensor([0, rows - 500, rows], device="cuda")
    query = support[-4:].clone()
    found = knn(
        query, support, 3, support_offsets=offsets, query_offsets=offsets.new_tensor([0, 0, 4])
    )
    expected = knn(query[None].cpu(), support[None, -500:].cpu(), 3)
    assert_same(found, Neighbors(expected.idx[0], expected.dist2[0]))

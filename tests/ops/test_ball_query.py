"""Ball query: hand cases, laws, the same bits from every implementation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops import Neighbors
from pcmamba.ops._impl import interpreting
from pcmamba.ops.ball_query import ball_query, ball_query_fwd

# With a GPU Triton compiles, and takes its tensors only: see the tests marked gpu.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
IMPLS = ["reference", *KERNELS]


def cloud(*shape: int, seed: int = 0, lattice: int = 0) -> Tensor:
    """Random coordinates; with `lattice`, whole numbers below it, on the edge of many balls."""
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
    support = along_x(3.0, 1.0, -1.5, 0.5, 9.0)
    found = ball_query(along_x(0.0, 9.0, 50.0), support, 2.0, 2, impl=impl)
    assert found.idx.tolist() == [[[1, 2], [4, -1], [-1, -1]]]
    assert found.dist2.tolist() == [[[1.0, 2.25], [0.0, 0.0], [0.0, 0.0]]]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("radius", [2.0, 0.2, 0.1, 1.0 / 3.0])
def test_a_point_at_the_radius_is_outside(impl: str, radius: float) -> None:
    inner = torch.nextafter(torch.tensor(radius), torch.tensor(0.0)).item()
    support = along_x(radius, -radius, inner)
    # The square of the float just below may round to the square of the radius itself.
    inside = bool(torch.tensor(inner).square() < torch.tensor(radius).square())
    found = ball_query(along_x(0.0), support, radius, 3, impl=impl)
    assert found.idx.tolist() == [[[2 if inside else -1, -1, -1]]]


SEARCHES = [
    pytest.param(cloud(3, 1), cloud(3, 1, seed=1), 2.0, 1, id="one point"),
    pytest.param(cloud(1, 4), cloud(1, 63, seed=1), 1.5, 12, id="63 points"),
    pytest.param(cloud(1, 4), cloud(1, 257, seed=1), 0.7, 9, id="257 points"),
    pytest.param(cloud(2, 3), cloud(2, 20, seed=1), 100.0, 20, id="all points"),
    pytest.param(cloud(2, 3), cloud(2, 20, seed=1), 1.0, 32, id="more than all points"),
    pytest.param(cloud(2, 3), cloud(2, 20, seed=1), 1e-6, 4, id="nobody"),
    pytest.param(cloud(2, 4, lattice=4), cloud(2, 60, lattice=4), 2.0, 9, id="lattice"),
    pytest.param(1e25 * cloud(1, 3), 1e25 * cloud(1, 30, seed=1), 1e18, 6, id="squares overflow"),
]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize(("query", "support", "radius", "k"), SEARCHES)
def test_kernels_find_the_bits_of_the_reference(
    query: Tensor, support: Tensor, radius: float, k: int, impl: str
) -> None:
    expected = ball_query(query, support, radius, k, impl="reference")
    assert_same(ball_query(query, support, radius, k, impl=impl), expected)


@pytest.mark.parametrize(("radius", "lattice"), [(0.6, 0), (2.0, 9)])
def test_long_clouds_find_the_bits_of_the_reference(radius: float, lattice: int) -> None:
    support = cloud(2, 1500, lattice=lattice)
    expected = ball_query(support[:, ::5], support, radius, 24, impl="reference")
    assert (expected.idx < 0).any()
    assert (expected.idx[..., -1] >= 0).any()
    assert_same(ball_query(support[:, ::5], support, radius, 24, impl="cpu"), expected)


@pytest.mark.skipif("triton" not in KERNELS, reason="Triton compiles: see the tests marked gpu")
def test_clouds_of_several_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcmamba.kernels import ball_query_triton

    monkeypatch.setattr(ball_query_triton, "BLOCK_N", 16)
    query, support = cloud(1, 4), cloud(1, 100, seed=1)
    expected = ball_query(query, support, 1.2, 9, impl="reference")
    assert_same(ball_query(query, support, 1.2, 9, impl="triton"), expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_lists_the_first_inside_and_only_those(impl: str) -> None:
    query, support = cloud(1, 5), cloud(1, 50, seed=1)
    found = ball_query(query, support, 1.3, 6, impl=impl)
    distance = torch.cdist(query.double(), support.double())[0]
    for row, listed, dist2 in zip(distance, found.idx[0], found.dist2[0], strict=True):
        inside = (row < 1.3).nonzero().flatten().tolist()[:6]
        assert listed.tolist() == inside + [-1] * (6 - len(inside))
        exact = torch.zeros(6, dtype=torch.float64)
        exact[: len(inside)] = row[inside].square()
        torch.testing.assert_close(dist2.double(), exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_larger_k_lists_the_same_first(impl: str) -> None:
    query, support = cloud(2, 3), cloud(2, 40, seed=1)
    more = ball_query(query, support, 1.5, 12, impl=impl)
    fewer = ball_query(query, support, 1.5, 5, impl=impl)
    assert_same(fewer, Neighbors(more.idx[..., :5], more.dist2[..., :5]))


@pytest.mark.parametrize("impl", IMPLS)
def test_batch_mates_never_change_a_cloud(impl: str) -> None:
    query, support = cloud(3, 2), cloud(3, 20, seed=1)
    together = ball_query(query, support, 1.5, 4, impl=impl)
    for b in (2, 0, 1):
        alone = ball_query(query[b : b + 1], support[b : b + 1], 1.5, 4, impl=impl)
        assert_same(alone, Neighbors(together.idx[b : b + 1], together.dist2[b : b + 1]))


@pytest.mark.parametrize("impl", IMPLS)
def test_ragged_is_the_clouds_one_by_one(impl: str) -> None:
    queries, points = [2, 3, 0, 1, 1], [9, 3, 5, 0, 30]
    query, support = cloud(7), cloud(47, seed=1)
    looped = [
        ball_query(q[None], s[None], 1.5, 4, impl="reference")
        for q, s in zip(query.split(queries), support.split(points), strict=True)
    ]
    expected = Neighbors(*(torch.cat(parts, 1)[0] for parts in zip(*looped, strict=True)))
    offsets = {
        "query_offsets": torch.tensor([0, 2, 5, 5, 6, 7]),
        "support_offsets": torch.tensor([0, 9, 12, 17, 17, 47]),
    }
    assert_same(ball_query(query, support, 1.5, 4, **offsets, impl=impl), expected)


@pytest.mark.parametrize("impl", IMPLS)
def test_strided_points(impl: str) -> None:
    wide = torch.randn(4, 5, 40, generator=torch.Generator().manual_seed(3))
    support = wide.transpose(1, 2)[::2, ::2, 1:4]
    query = support[:, ::6]
    found = ball_query(query, support, 1.5, 5, impl=impl)
    assert_same(found, ball_query(query.clone(), support.clone(), 1.5, 5, impl="reference"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_points_are_searched_in_float32(dtype: torch.dtype) -> None:
    query, support = cloud(2, 9).to(dtype), cloud(2, 60, seed=1).to(dtype)
    found = ball_query(query, support, 0.9, 5)
    assert_same(found, ball_query(query.float(), support.float(), 0.9, 5))


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5), (2, 3, 0)])
def test_nothing_to_search(impl: str, shape: tuple[int, int, int]) -> None:
    clouds, queries, points = shape
    query, support = torch.zeros(clouds, queries, 3), torch.zeros(clouds, points, 3)
    found = ball_query(query, support, 1.0, 2, impl=impl)
    assert found.idx.shape == found.dist2.shape == (clouds, queries, 2)
    assert (found.idx == -1).all()
    assert (found.dist2 == 0).all()


def test_gradcheck_of_the_reference() -> None:
    query, support = cloud(2, 3).double(), cloud(2, 7, seed=1).double()

    def distances(query: Tensor, support: Tensor) -> Tensor:
        return ball_query(query, support, 1.5, 4, impl="reference").dist2

    assert torch.autograd.gradcheck(distances, (query.requires_grad_(), support.requires_grad_()))


@pytest.mark.parametrize("impl", KERNELS)
def test_gradients_of_the_kernels(impl: str) -> None:
    query, support = cloud(2, 4), cloud(2, 9, seed=1)
    weight = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(2))
    narrow = [t.clone().requires_grad_() for t in (query, support)]
    wide = [t.double().requires_grad_() for t in (query, support)]
    found = torch.autograd.grad(ball_query(*narrow, 1.5, 5, impl=impl).dist2, narrow, weight)
    again = torch.autograd.grad(ball_query(*narrow, 1.5, 5, impl=impl).dist2, narrow, weight)
    exact = ball_query(*wide, 1.5, 5, impl="reference")
    assert (exact.idx < 0).any()
    truth = torch.autograd.grad(exact.dist2, wide, weight.double())
    for actual, repeated, expected in zip(found, again, truth, strict=True):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-6, atol=1e-6)
        assert torch.equal(actual, repeated)


def test_second_backward_is_refused() -> None:
    support = cloud(1, 9).requires_grad_()
    total = ball_query(support, support, 1.0, 3, impl="cpu").dist2.sum()
    (grad,) = torch.autograd.grad(total, support, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiated once"):
        grad.sum().backward()


@pytest.mark.parametrize("impl", KERNELS)
def test_registration(impl: str) -> None:
    query, support = cloud(3).requires_grad_(), cloud(14, seed=1).requires_grad_()
    offsets = (torch.tensor([0, 2, 3]), torch.tensor([0, 8, 14]))
    torch.library.opcheck(ball_query_fwd, (query, support, *offsets, 1.5, 4, impl))


@pytest.mark.parametrize("impl", KERNELS)
def test_compiles_whole_for_any_size(impl: str) -> None:
    def search(query: Tensor, support: Tensor) -> Neighbors:
        return ball_query(query, support, 1.5, 3, impl=impl)

    compiled = torch.compile(search, fullgraph=True, dynamic=True, backend="aot_eager")
    for queries, points in ((2, 12), (3, 17)):
        inputs = cloud(2, queries), cloud(2, points, seed=1)
        assert_same(compiled(*inputs), search(*inputs))


ERRORS = [
    ({"query": torch.zeros(4, 3)}, ValueError, r"query must be \(B, M, 3\), got \(4, 3\)"),
    ({"support": torch.zeros(1, 5, 2)}, ValueError, r"support must be \(B, N, 3\), got"),
    ({"k": 0}, ValueError, "k must be at least 1, got 0"),
    ({"radius": 0.0}, ValueError, "radius must be positive and finite, got 0.0"),
    ({"radius": -1.0}, ValueError, "radius must be positive and finite, got -1.0"),
    ({"radius": float("nan")}, ValueError, "radius must be positive and finite, got nan"),
    ({"radius": float("inf")}, ValueError, "radius must be positive and finite, got inf"),
    ({"support": torch.zeros(1, 5, 3).long()}, TypeError, "support must be real floating point"),
    ({"query": torch.full((1, 4, 3), torch.nan)}, ValueError, "query must be finite, got nan"),
    ({"support_offsets": torch.tensor([0, 5])}, ValueError, "must be given together, got one"),
]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors(change: dict[str, Tensor], error: type, message: str, impl: str) -> None:
    points = {"query": torch.zeros(1, 4, 3), "support": torch.zeros(1, 5, 3)}
    with pytest.raises(error, match=message):
        ball_query(**{**points, "radius": 1.0, "k": 2, "impl": impl, **change})


@pytest.mark.gpu
@pytest.mark.parametrize(("radius", "lattice"), [(0.3, 0), (2.0, 9), (100.0, 0)])
def test_gpu_finds_what_the_cpu_finds(radius: float, lattice: int) -> None:
    support = cloud(4, 1024, lattice=lattice)
    expected = ball_query(support, support, radius, 24, impl="cpu")
    for impl in ("triton", "reference"):
        found = ball_query(support.cuda(), support.cuda(), radius, 24, impl=impl)
        assert_same(found, expected)

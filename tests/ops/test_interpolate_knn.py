"""Inverse-distance interpolation: hand cases, laws, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.interpolate_knn import interpolate_knn
from pcmamba.ops.knn import knn
from pcmamba.ops.neighbors import Neighbors

# With a GPU Triton compiles, and takes its tensors only: see the test marked gpu.
IMPLS = ["cpu", "triton"] if interpreting() else ["cpu"]


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Neighbors]:
    """Two clouds of nine points, five queries with three neighbours, some of them padding."""
    draw = torch.Generator().manual_seed(0)
    feat = torch.randn(2, 9, 4, generator=draw, dtype=torch.float64).to(dtype)
    idx = torch.randint(-1, 9, (2, 5, 3), generator=draw)
    dist2 = torch.rand(2, 5, 3, generator=draw, dtype=torch.float64).masked_fill(idx < 0, 0)
    return feat, Neighbors(idx, dist2 if dtype == torch.float64 else dist2.float())


@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_by_hand(impl: str) -> None:
    feat = torch.tensor([[[1.0], [4.0], [10.0]]])
    idx = torch.tensor([[[0, 1, 2], [1, -1, -1], [-1, -1, -1]]])
    dist2 = torch.tensor([[[1.0, 2.0, 4.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    # Weights 1, 1/2, 1/4: (1 + 2 + 2.5) / 1.75.
    out = interpolate_knn(feat, Neighbors(idx, dist2), impl=impl)
    assert out.flatten().tolist() == pytest.approx([5.5 / 1.75, 4.0, 0.0], rel=1e-6)


def test_gradcheck_in_features_and_distances() -> None:
    feat, (idx, dist2) = inputs(torch.float64)
    assert torch.autograd.gradcheck(
        lambda f, d: interpolate_knn(f, Neighbors(idx, d), eps=0.1),
        (feat.requires_grad_(), dist2.requires_grad_()),
    )


@pytest.mark.parametrize("impl", IMPLS)
def test_values_and_gradients(impl: str) -> None:
    feat, (idx, dist2) = inputs()
    results = []
    for chosen, dtype in ((impl, torch.float32), ("reference", torch.float64)):
        f, d = feat.to(dtype).requires_grad_(), dist2.to(dtype).requires_grad_()
        out = interpolate_knn(f, Neighbors(idx, d), impl=chosen)
        results.append([out, *torch.autograd.grad(out.square().sum(), (f, d))])
    for actual, truth in zip(*results, strict=True):
        torch.testing.assert_close(actual.double(), truth, rtol=2e-5, atol=2e-5)


def test_half_features_sum_in_float32() -> None:
    feat, neighbors = inputs(torch.bfloat16)
    out = interpolate_knn(feat, neighbors)
    exact = interpolate_knn(feat.double(), Neighbors(neighbors.idx, neighbors.dist2.double()))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-6)


def test_constant_features_stay_constant() -> None:
    points = torch.rand(2, 30, 3, generator=torch.Generator().manual_seed(0))
    out = interpolate_knn(torch.full((2, 10, 4), 7.0), knn(points, points[:, :10], 3))
    torch.testing.assert_close(out, torch.full((2, 30, 4), 7.0))


def test_a_query_on_a_support_point_takes_its_features() -> None:
    points = torch.rand(1, 12, 3, generator=torch.Generator().manual_seed(0))
    feat = torch.randn(1, 12, 4, generator=torch.Generator().manual_seed(1))
    out = interpolate_knn(feat, knn(points, points, 3))
    torch.testing.assert_close(out, feat, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 3])
def test_one_support_point_is_broadcast(k: int) -> None:
    feat = torch.tensor([[[2.0, -3.0]]])
    idx = torch.full((1, 5, k), -1)
    idx[..., 0] = 0
    dist2 = torch.arange(5.0).view(1, 5, 1) * (idx >= 0)
    out = interpolate_knn(feat, Neighbors(idx, dist2))
    torch.testing.assert_close(out, feat.expand(1, 5, 2))


def test_order_of_the_neighbours_means_nothing_and_batch_mates_change_nothing() -> None:
    feat, (idx, dist2) = inputs()
    out = interpolate_knn(feat, Neighbors(idx, dist2))
    flipped = interpolate_knn(feat, Neighbors(idx.flip(2), dist2.flip(2)))
    torch.testing.assert_close(flipped, out)
    alone = interpolate_knn(feat[1:], Neighbors(idx[1:], dist2[1:]))
    assert torch.equal(alone, out[1:])


def test_empty() -> None:
    feat, (idx, dist2) = inputs()
    assert interpolate_knn(feat, Neighbors(idx[:, :0], dist2[:, :0])).shape == (2, 0, 4)
    assert not interpolate_knn(feat, Neighbors(idx[..., :0], dist2[..., :0])).any()


def test_compiles_without_a_graph_break() -> None:
    feat, neighbors = inputs()
    compiled = torch.compile(interpolate_knn, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(feat, neighbors), interpolate_knn(feat, neighbors))


def test_errors() -> None:
    feat, (idx, dist2) = inputs()
    with pytest.raises(ValueError, match=r"dist2 must be \(B, M, K\) with K = 3 from idx"):
        interpolate_knn(feat, Neighbors(idx, dist2[..., :2]))
    with pytest.raises(ValueError, match="eps must be positive, got 0"):
        interpolate_knn(feat, Neighbors(idx, dist2), eps=0)
    with pytest.raises(
        TypeError, match=r"dist2 must be floating, got torch.int64; take it from knn"
    ):
        interpolate_knn(feat, Neighbors(idx, idx))
    with pytest.raises(ValueError, match=r"idx must lie in \[-1, 8\]"):
        interpolate_knn(feat, Neighbors(idx + 9, dist2))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_the_gpu(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(4, 1024, 3, generator=draw)
    feat = torch.randn(4, 256, 192, generator=draw).to(dtype)
    neighbors = knn(points, points[:, :256], 3)
    out = interpolate_knn(feat.cuda(), Neighbors(*(tensor.cuda() for tensor in neighbors)))
    exact = interpolate_knn(feat.double(), Neighbors(neighbors.idx, neighbors.dist2.double()))
    tolerance = 2**-8 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(out.cpu().double(), exact, rtol=tolerance, atol=tolerance)

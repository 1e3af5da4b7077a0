"""Search in large clouds by the tree: as exact as all pairs, also where distances tie."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pcmamba.kernels import knn_cpu
from pcmamba.kernels.knn_tree import nearest_by_tree
from pcmamba.ops import knn


def points(kind: str, count: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    random = torch.randn(count, 3, generator=draw)
    lattice = torch.randint(0, 6, (count, 3), generator=draw).float()
    return {
        "random": random,
        "lattice": lattice,
        "one place": torch.ones(count, 3),
        "far from the origin": 1e4 + 1e-2 * random,
        "underflow": 1e-21 * random,
        "overflow": 1e22 * random,
    }[kind]


KINDS = ["random", "lattice", "one place", "far from the origin", "underflow", "overflow"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 12])
def test_bits_of_all_pairs(kind: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    support = points(kind, 2000)
    query = support[::9]
    expected = knn(query[None], support[None], k)
    monkeypatch.setattr(knn_cpu, "TREE_POINTS", 1000)
    monkeypatch.setattr(knn_cpu, "TREE_QUERIES", 100)
    found = knn(query[None], support[None], k)
    assert torch.equal(found.idx, expected.idx)
    assert torch.equal(found.dist2, expected.dist2)


def test_only_crowded_queries_need_all_pairs() -> None:
    sure, _, _ = nearest_by_tree(points("random", 2000).numpy(), points("random", 2000).numpy(), 12)
    assert sure.mean() > 0.99
    crowded = points("one place", 2000).numpy()
    sure, _, _ = nearest_by_tree(crowded, crowded, 12)
    assert not sure.any()


def test_all_points_as_candidates_are_always_sure() -> None:
    crowded = points("one place", 10).numpy()
    sure, idx, _ = nearest_by_tree(crowded[:2], crowded, 5)
    assert sure.all()
    assert idx.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_large_and_small_clouds_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    support, query = points("random", 1600), points("random", 330)
    offsets = {
        "query_offsets": torch.tensor([0, 30, 200, 330]),
        "support_offsets": torch.tensor([0, 100, 1500, 1600]),
    }
    expected = knn(query, support, 5, **offsets, impl="reference")
    monkeypatch.setattr(knn_cpu, "TREE_POINTS", 1000)
    monkeypatch.setattr(knn_cpu, "TREE_QUERIES", 100)
    found = knn(query, support, 5, **offsets)
    assert torch.equal(found.idx, expected.idx)
    assert torch.equal(found.dist2, expected.dist2)

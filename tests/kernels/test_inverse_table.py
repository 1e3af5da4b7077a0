"""Both inverses of a neighbour table agree with each other and with a table made by hand."""

from __future__ import annotations

import pytest
import torch

from pcmamba.kernels import inverse_table as by_sort
from pcmamba.kernels import inverse_table_cpu as by_counting

TABLES = pytest.mark.parametrize("table", [by_sort, by_counting], ids=["sort", "counting"])


@TABLES
def test_by_hand(table) -> None:
    start, slot = table.inverse_table(torch.tensor([[2, 0, -1, 2, 0], [1, 1, 1, -1, 0]]), 3)
    assert start.tolist() == [[0, 2, 2, 4], [0, 1, 4, 4]]
    assert slot.tolist() == [[1, 4, 0, 3, 2], [4, 0, 1, 2, 3]]


@TABLES
@pytest.mark.parametrize("shape, num_points", [((0, 4), 3), ((2, 0), 3), ((2, 4), 0)])
def test_empty(table, shape: tuple[int, int], num_points: int) -> None:
    start, slot = table.inverse_table(torch.full(shape, -1), num_points)
    assert start.shape == (shape[0], num_points + 1) and not start.any()
    assert slot.tolist() == [list(range(shape[1]))] * shape[0]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 63, 257), (2, 4096, 5)])
def test_both_agree(sizes: tuple[int, int, int]) -> None:
    clouds, slots, num_points = sizes
    draw = torch.Generator().manual_seed(0)
    idx = torch.randint(-1, num_points, (clouds, slots), generator=draw)
    sorted_, counted = (
        by_sort.inverse_table(idx, num_points),
        by_counting.inverse_table(idx, num_points),
    )
    for a, b in zip(sorted_, counted, strict=True):
        assert a.dtype == b.dtype == torch.int64
        assert torch.equal(a, b)


def test_every_slot_stands_under_its_point_once() -> None:
    idx = torch.randint(0, 40, (1, 500), generator=torch.Generator().manual_seed(0))
    start, slot = by_counting.inverse_table(idx, 40)
    for n in range(40):
        owned = slot[0, start[0, n] : start[0, n + 1]]
        assert torch.equal(owned, (idx[0] == n).nonzero()[:, 0])


def test_an_index_past_the_cloud_sorts_as_padding() -> None:
    start, slot = by_sort.inverse_table(torch.tensor([[0, 9, -7, 1]]), 2)
    assert start.tolist() == [[0, 1, 2]] and slot.tolist() == [[0, 3, 1, 2]]

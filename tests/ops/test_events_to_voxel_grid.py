"""Events shared between instants: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.kernels import events_cpu
from pcmamba.ops._impl import interpreting
from pcmamba.ops.events_to_voxel_grid import (
    events_to_voxel_grid,
    events_to_voxel_grid_fwd,
    events_to_voxel_grid_reference,
)
from pcmamba.testing import draw_events

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
HW = (5, 7)
BOUNDS = torch.tensor([0, 0, 60, 60, 61, 150, 150])


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x, y = torch.tensor([0, 1, 1, 0]), torch.zeros(4, dtype=torch.int64)
    t, p = torch.tensor([100, 125, 175, 200]), torch.tensor([1, 0, 1, 1])
    options = {"bins": 3, "resolution_hw": (1, 2), "impl": impl}
    signed = events_to_voxel_grid(x, y, t, p, **options)
    assert signed.tolist() == [[[1.0, -0.5]], [[0.0, 0.0]], [[1.0, 0.5]]]
    split = events_to_voxel_grid(x, y, t, p, polarity="split", **options)
    assert split[:, 0].tolist() == [[[0.0, 0.5]], [[0.0, 0.5]], [[0.0, 0.0]]]
    assert split[:, 1].tolist() == [[[1.0, 0.0]], [[0.0, 0.5]], [[1.0, 0.5]]]
    same = events_to_voxel_grid(x, y, torch.full((4,), 7), p, **options)
    assert same.tolist() == [[[2.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]
    one = events_to_voxel_grid(x, y, t, p, bins=1, resolution_hw=(1, 2), impl=impl)
    assert one.tolist() == [[[2.0, 0.0]]]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("polarity", ["signed", "split"])
@pytest.mark.parametrize("offsets", [None, BOUNDS], ids=["one", "ragged"])
def test_kernels_within_their_rounding(offsets: Tensor | None, polarity: str, impl: str) -> None:
    events = draw_events(150, HW, offsets=offsets, microseconds=90)
    options = {"bins": 4, "resolution_hw": HW, "polarity": polarity, "offsets": offsets}
    grid = events_to_voxel_grid(*events, impl=impl, **options)
    exact = events_to_voxel_grid_reference(*events, offsets, 4, *HW, polarity == "signed")
    exact = exact.squeeze(2) if polarity == "signed" else exact
    exact = exact[0] if offsets is None else exact
    assert grid.dtype == torch.float32
    assert exact.dtype == torch.float64
    most_in_a_cell = 20
    assert (grid - exact).abs().max() <= most_in_a_cell * 2**-21
    assert torch.equal(grid, events_to_voxel_grid(*events, impl="cpu", **options))


@pytest.mark.parametrize("impl", KERNELS)
def test_more_events_than_one_word_holds(impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = [events_cpu]
    if impl == "triton":
        from pcmamba.kernels import events_triton

        modules.append(events_triton)
    for module in modules:
        monkeypatch.setattr(module, "MOST_NARROW", 100)
    events = draw_events(150, HW, microseconds=90)
    for polarity in ("signed", "split"):
        options = {"bins": 4, "resolution_hw": HW, "polarity": polarity}
        grid = events_to_voxel_grid(*events, impl=impl, **options)
        exact = events_to_voxel_grid(*events, impl="reference", **options)
        assert (grid - exact).abs().max() <= 2**-22
        assert torch.equal(grid, events_to_voxel_grid(*events, impl="cpu", **options))


@pytest.mark.parametrize("impl", KERNELS)
def test_a_hot_pixel_at_the_bound_of_one_word(impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As many events as the narrow form takes, all in one cell with the largest share: the sums
    # of a word are as near their bounds as they come. The interpreter gets a tenth of them.
    number = events_cpu.MOST_NARROW - 1 if impl == "cpu" else 1000
    zero = torch.zeros(number, dtype=torch.int16)
    t = torch.full((number,), (1 << 40) - 1)
    t[0], t[-1] = 0, 1 << 40
    for sign in (0, 1):
        options = {"bins": 2, "resolution_hw": (1, 1), "impl": impl}
        grid = events_to_voxel_grid(zero, zero, t, torch.full((number,), sign), **options)
        wanted = torch.tensor([1.0, number - 1]) * (2 * sign - 1)
        torch.testing.assert_close(grid.flatten(), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_ragged_is_looped_and_batch_mates_change_nothing(impl: str) -> None:
    events = draw_events(150, HW, offsets=BOUNDS)
    options = {"bins": 3, "resolution_hw": HW, "normalize": True, "impl": impl}
    batch = events_to_voxel_grid(*events, offsets=BOUNDS, **options)
    for grid, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        alone = events_to_voxel_grid(*(e[begin:end] for e in events), **options)
        torch.testing.assert_close(grid, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_every_event_counts_once(impl: str) -> None:
    events = draw_events(150, HW)
    for bins in (1, 2, 9):
        options = {"bins": bins, "resolution_hw": HW, "impl": impl}
        split = events_to_voxel_grid(*events, polarity="split", **options)
        sums = split.double().sum((0, 2, 3))
        positive = int((events[3] > 0).sum())
        torch.testing.assert_close(sums, torch.tensor([150 - positive, positive]).double())
        signed = events_to_voxel_grid(*events, **options)
        torch.testing.assert_close(signed, split[:, 1] - split[:, 0])


def test_normalized_cells_have_mean_0_and_deviation_1() -> None:
    grid = events_to_voxel_grid(*draw_events(40, HW), bins=3, resolution_hw=HW, normalize=True)
    plain = events_to_voxel_grid(*draw_events(40, HW), bins=3, resolution_hw=HW)
    used = grid[plain != 0]
    assert int((grid[plain == 0] != 0).sum()) == 0
    assert abs(float(used.mean())) < 1e-6
    assert abs(float(used.std(correction=0)) - 1) < 1e-6
    single = draw_events(1, HW)
    assert int(events_to_voxel_grid(*single, bins=2, resolution_hw=HW, normalize=True).sum()) == 0


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    events = draw_events(20, HW)
    for offsets in (None, torch.tensor([0, 5, 20])):
        torch.library.opcheck(events_to_voxel_grid_fwd, (*events, offsets, 3, *HW, True, impl))


def test_compiles_without_a_break() -> None:
    def run(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> Tensor:
        return events_to_voxel_grid(x, y, t, p, bins=3, resolution_hw=HW, normalize=True) + 1

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    events = draw_events(30, HW)
    assert torch.equal(compiled(*events), run(*events))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bins": 0}, "bins must be at least 1, got 0"),
        ({"polarity": "sign"}, "polarity must be .*Did you mean 'signed'"),
        ({"resolution_hw": (5, 2)}, "x must be 0 to 1, got 6"),
    ],
    ids=["bins", "polarity", "column"],
)
def test_errors(changes: dict[str, Any], message: str) -> None:
    arguments = dict(zip("xytp", draw_events(150, HW), strict=True))
    with pytest.raises(ValueError, match=message):
        events_to_voxel_grid(**({**arguments, "bins": 2, "resolution_hw": HW} | changes))


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
@pytest.mark.parametrize("polarity", ["signed", "split"])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_gpu_gives_the_same_bits(ragged: bool, polarity: str, impl: str) -> None:
    offsets = torch.tensor([0, 0, 30000, 30000, 30001, 100000]) if ragged else None
    events = draw_events(100_000, (48, 64), offsets=offsets)
    options = {"bins": 5, "resolution_hw": (48, 64), "polarity": polarity}
    wanted = events_to_voxel_grid(*events, offsets=offsets, **options)
    moved = None if offsets is None else offsets.cuda()
    found = events_to_voxel_grid(*(e.cuda() for e in events), offsets=moved, impl=impl, **options)
    assert torch.equal(found.cpu(), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
def test_a_gpu_with_more_events_than_one_word_holds(impl: str) -> None:
    events = draw_events(5_000_000, (48, 64), device="cuda")
    found = events_to_voxel_grid(*events, bins=5, resolution_hw=(48, 64), impl=impl)
    wanted = events_to_voxel_grid(*(e.cpu() for e in events), bins=5, resolution_hw=(48, 64))
    assert torch.equal(found.cpu(), wanted)

"""Counting events: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.event_histogram import event_histogram, event_histogram_fwd
from pcmamba.testing import draw_events

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
HW = (5, 7)
BOUNDS = torch.tensor([0, 0, 60, 60, 61, 150, 150])


def five() -> list[Tensor]:
    """Five events by hand, at 10, 10, 11, 14 and 19 microseconds."""
    columns = ([0, 1, 1, 2, 0], [0, 0, 0, 1, 1], [10, 10, 11, 14, 19], [1, 0, 0, 1, 1])
    return [torch.tensor(column) for column in columns]


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    options = {"bins": 2, "resolution_hw": (2, 3), "impl": impl}
    counts = event_histogram(*five(), **options)
    assert counts.dtype == torch.int32
    assert counts.tolist() == [
        [[[0, 2, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]],
        [[[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 0, 1]]],
    ]
    by_time = event_histogram(*five(), split="time", **options)
    assert by_time.sum((1, 2, 3)).tolist() == [4, 1]
    thirds = event_histogram(*five(), bins=3, resolution_hw=(2, 3), impl=impl)
    assert thirds.sum((1, 2, 3)).tolist() == [2, 2, 1]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("split", ["count", "time"])
@pytest.mark.parametrize("offsets", [None, BOUNDS], ids=["one", "ragged"])
def test_kernels_count_as_the_reference(offsets: Tensor | None, split: str, impl: str) -> None:
    events = draw_events(150, HW, offsets=offsets, microseconds=40)
    options = {"bins": 4, "resolution_hw": HW, "split": split, "offsets": offsets}
    counts = event_histogram(*events, impl=impl, **options)
    assert torch.equal(counts, event_histogram(*events, impl="reference", **options))
    assert int(counts.sum()) == 150


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_ragged_is_looped_and_batch_mates_change_nothing(impl: str) -> None:
    events = draw_events(150, HW, offsets=BOUNDS)
    options = {"bins": 3, "resolution_hw": HW, "split": "time", "impl": impl}
    batch = event_histogram(*events, offsets=BOUNDS, **options)
    for counts, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        assert torch.equal(counts, event_histogram(*(e[begin:end] for e in events), **options))


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_equal_counts_are_equal_counts(impl: str) -> None:
    counts = event_histogram(*draw_events(150, HW), bins=7, resolution_hw=HW, impl=impl)
    frames = counts.sum((1, 2, 3))
    assert frames.tolist() == [22, 21, 22, 21, 22, 21, 21]
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), frames.cumsum(0)])
    own = event_histogram(
        *draw_events(150, HW), bins=1, resolution_hw=HW, offsets=bounds, impl=impl
    )
    assert torch.equal(own[:, 0], counts)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_events_than_frames(number: int, impl: str) -> None:
    events = draw_events(number, HW)
    counts = event_histogram(*events, bins=4, resolution_hw=HW, impl=impl)
    assert counts.shape == (4, 2, *HW)
    assert int(counts.sum()) == number
    nothing = torch.zeros(1, dtype=torch.int64)
    if number == 0:
        empty = event_histogram(*events, bins=4, resolution_hw=HW, offsets=nothing, impl=impl)
        assert empty.shape == (0, 4, 2, *HW)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_polarities_and_columns_of_any_kind(impl: str) -> None:
    x, y, t, p = draw_events(80, HW)
    options = {"bins": 2, "resolution_hw": HW, "impl": impl}
    wanted = event_histogram(x, y, t, p, **options)
    for signs in (p.bool(), 2 * p.to(torch.int8) - 1, p.float(), p.long()):
        assert torch.equal(event_histogram(x, y, t, signs, **options), wanted)
    pairs = torch.stack([x, y], 1)
    strided = event_histogram(pairs[:, 0], pairs[:, 1], t, p, **options)
    assert torch.equal(strided, wanted)
    small = (t - t[0]).int()
    assert torch.equal(event_histogram(x.to(torch.uint8), y.long(), small, p, **options), wanted)


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    events = draw_events(20, HW)
    for offsets in (None, torch.tensor([0, 5, 20])):
        arguments = (*events, offsets, 3, *HW, "count", impl)
        torch.library.opcheck(event_histogram_fwd, arguments)


def test_compiles_without_a_break() -> None:
    def run(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> Tensor:
        return event_histogram(x, y, t, p, bins=3, resolution_hw=HW) + 1

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    events = draw_events(30, HW)
    assert torch.equal(compiled(*events), run(*events))


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shape": ({"y": torch.zeros(4).long()}, ValueError, r"y must be \(E\) with E = 5 from x"),
    "float": ({"x": torch.zeros(5)}, TypeError, "x must be an integer of up to 64 bits, got"),
    "complex": ({"p": torch.zeros(5) + 0j}, TypeError, "p must be real"),
    "bins": ({"bins": 0}, ValueError, "bins must be at least 1, got 0"),
    "sides": ({"resolution_hw": (2, 0)}, ValueError, "resolution_hw must be two positive sides"),
    "split": ({"split": "cout"}, ValueError, "split must be .*Did you mean 'count'"),
    "offsets": ({"offsets": torch.tensor([0, 4])}, ValueError, "offsets must rise from 0 to 5"),
    "int32 offsets": ({"offsets": torch.tensor([0, 5]).int()}, TypeError, "offsets must be int64"),
    "column": ({"resolution_hw": (2, 2)}, ValueError, "x must be 0 to 1, got 2; give the sensor's"),
    "row": ({"y": torch.tensor([0, 0, 0, 0, -1])}, ValueError, "y must be 0 to 1, got -1"),
    "order": (
        {"t": torch.tensor([1, 2, 3, 2, 5])},
        ValueError,
        "t must not fall within a recording, got 2 after 3 at event 3; sort the events",
    ),
    "impl": ({"impl": "cuda"}, ValueError, "impl must be one of auto, cpu, nvrtc"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    arguments = dict(zip("xytp", five(), strict=True)) | {"bins": 2, "resolution_hw": (2, 3)}
    with pytest.raises(error, match=message):
        event_histogram(**(arguments | changes))


def test_a_fall_between_recordings_is_none() -> None:
    x, y, t, p = five()
    t = torch.tensor([5, 6, 1, 2, 3])
    options = {"bins": 1, "resolution_hw": (2, 3)}
    counts = event_histogram(x, y, t, p, offsets=torch.tensor([0, 0, 2, 5, 5]), **options)
    assert counts.sum((1, 2, 3, 4)).tolist() == [0, 2, 3, 0]


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
@pytest.mark.parametrize("split", ["count", "time"])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_gpu_counts_the_same(ragged: bool, split: str, impl: str) -> None:
    offsets = torch.tensor([0, 0, 30000, 30000, 30001, 100000]) if ragged else None
    events = draw_events(100_000, (48, 64), offsets=offsets)
    options = {"bins": 5, "resolution_hw": (48, 64), "split": split}
    wanted = event_histogram(*events, offsets=offsets, **options)
    moved = None if offsets is None else offsets.cuda()
    found = event_histogram(*(e.cuda() for e in events), offsets=moved, impl=impl, **options)
    assert torch.equal(found.cpu(), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
def test_a_gpu_leaves_out_what_is_off_the_sensor(impl: str) -> None:
    x, y, t, p = (part.cuda() for part in draw_events(1000, (48, 64)))
    counts = event_histogram(x, y, t, p, bins=2, resolution_hw=(24, 32), impl=impl)
    assert int(counts.sum()) == int(((x < 32) & (y < 24)).sum())
    assert (
        int(event_histogram(-x - 1, y, t, p, bins=2, resolution_hw=(48, 64), impl=impl).sum()) == 0
    )


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
def test_beyond_two_to_the_31_cells(impl: str) -> None:
    events = [part.cuda() for part in draw_events(1000, (8192, 8192), seed=3)]
    counts = event_histogram(*events, bins=17, resolution_hw=(8192, 8192), impl=impl)
    x, y, _t, p = (part[-58:].long() for part in events)
    assert counts.numel() > 1 << 31
    assert counts[16, p, y, x].min() >= 1
    assert int(counts[16].sum()) == 58

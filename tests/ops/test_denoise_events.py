"""Background-activity filter: by hand, laws, the loop against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from pcmamba.ops.denoise_events import denoise_events, denoise_events_fwd
from pcmamba.testing import draw_events

IMPLS = ["reference", "cpu"]
HW = (9, 11)
BOUNDS = torch.tensor([0, 0, 200, 200, 201, 500])


@pytest.mark.parametrize("impl", IMPLS)
def test_by_hand(impl: Any) -> None:
    #                alone, beside, late, same pixel, corner of the last, over the edge of a row
    x = torch.tensor([1, 2, 1, 1, 2, 0])
    y = torch.tensor([1, 1, 1, 1, 2, 2])
    t = torch.tensor([5, 15, 26, 30, 40, 41])
    options: dict[str, Any] = {"resolution_hw": (3, 3), "impl": impl}
    kept = denoise_events(x, y, t, window=10, **options)
    assert kept.tolist() == [False, True, False, False, True, False]
    assert denoise_events(x, y, t, window=11, **options).tolist() == [
        False, True, True, False, True, True
    ]  # fmt: skip
    four = denoise_events(x, y, t, window=11, neighbours=4, **options)
    assert four.tolist() == [False, True, True, False, False, False]


@pytest.mark.parametrize("impl", IMPLS)
def test_simultaneous_events_stand_in_their_order(impl: Any) -> None:
    x, t = torch.tensor([0, 1]), torch.tensor([7, 7])
    kept = denoise_events(x, 0 * x, t, window=0, resolution_hw=(1, 2), impl=impl)
    assert kept.tolist() == [False, True]


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("window", [0, 30, 1000])
def test_the_loop_keeps_what_the_reference_keeps(window: int, neighbours: int) -> None:
    x, y, t, _ = draw_events(500, HW, offsets=BOUNDS, microseconds=1000)
    options: dict[str, Any] = {
        "window": window, "resolution_hw": HW, "neighbours": neighbours, "offsets": BOUNDS
    }  # fmt: skip
    kept = denoise_events(x, y, t, impl="cpu", **options)
    assert torch.equal(kept, denoise_events(x, y, t, impl="reference", **options))
    if window > 0:
        assert 0 < int(kept.sum()) < 500
    assert not bool(kept[[0, 200, 201]].any())


@pytest.mark.parametrize("impl", IMPLS)
def test_a_recording_alone_is_filtered_alike(impl: Any) -> None:
    x, y, t, _ = draw_events(500, HW, offsets=BOUNDS, microseconds=1000)
    options: dict[str, Any] = {"window": 20, "resolution_hw": HW, "impl": impl}
    batch = denoise_events(x, y, t, offsets=BOUNDS, **options)
    parts = [
        denoise_events(*(column[begin:end] for column in (x, y, t)), **options)
        for begin, end in itertools.pairwise(BOUNDS.tolist())
    ]
    assert torch.equal(torch.cat(parts), batch)


@pytest.mark.parametrize("impl", IMPLS)
def test_opcheck(impl: str) -> None:
    x, y, t, _ = draw_events(40, HW)
    torch.library.opcheck(denoise_events_fwd, (x, y, t, torch.tensor([0, 10, 40]), *HW, 9, 8, impl))


ZEROS = torch.zeros(5, dtype=torch.int64)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shape": ({"y": ZEROS[1:]}, ValueError, r"y must be \(E\) with E = 5 from x"),
    "float": ({"t": ZEROS.float()}, TypeError, "t must be an integer of up to 64 bits, got"),
    "window": ({"window": -1}, ValueError, "window must be at least 0, got -1"),
    "neighbours": ({"neighbours": 6}, ValueError, "neighbours must be 4 or 8, got 6"),
    "sides": ({"resolution_hw": (2, 0)}, ValueError, "resolution_hw must be two positive sides"),
    "offsets": ({"offsets": torch.tensor([0, 4])}, ValueError, "offsets must rise from 0 to 5"),
    "int32": ({"offsets": torch.tensor([0, 5]).int()}, TypeError, "offsets must be int64"),
    "column": ({"x": ZEROS + 3}, ValueError, "x must be 0 to 2, got 3"),
    "order": ({"t": torch.arange(5).flip(0)}, ValueError, "t must not fall within a recording"),
    "impl": ({"impl": "triton"}, ValueError, "impl must be one of auto, cpu, reference"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    arguments: dict[str, Any] = {
        "x": ZEROS, "y": ZEROS, "t": ZEROS, "window": 5, "resolution_hw": (2, 3)
    }  # fmt: skip
    with pytest.raises(error, match=message):
        denoise_events(**(arguments | changes))


@pytest.mark.gpu
def test_a_gpu_keeps_the_same() -> None:
    x, y, t, _ = draw_events(500, HW, offsets=BOUNDS, microseconds=1000)
    options: dict[str, Any] = {"window": 20, "resolution_hw": HW}
    found = denoise_events(x.cuda(), y.cuda(), t.cuda(), offsets=BOUNDS.cuda(), **options)
    assert torch.equal(found.cpu(), denoise_events(x, y, t, offsets=BOUNDS, **options))

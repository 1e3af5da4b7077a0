"""Adaptive frames: by hand, the opening as OpenCV does it, laws, the loop against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcmamba.kernels import adaptive_frames_cpu
from pcmamba.ops.adaptive_frames import _dilated, adaptive_frames, adaptive_frames_fwd
from pcmamba.testing import draw_events

IMPLS = ["reference", "cpu"]
HW = (6, 9)
BOUNDS = torch.tensor([0, 0, 300, 300, 301, 900])


def blocks(*corners: int) -> tuple[Tensor, Tensor, Tensor]:
    """Four events each: the pixels (1, c), (1, c + 1), (2, c), (2, c + 1), all positive."""
    x = torch.tensor([corner + i for corner in corners for i in (0, 1, 0, 1)])
    y = torch.tensor([1, 1, 2, 2]).repeat(len(corners))
    return x, y, torch.ones(len(x), dtype=torch.uint8)


def test_the_opening_is_that_of_opencv() -> None:
    # cv2.dilate(cv2.erode(image, ones), ones) of OpenCV 5.0: corners grow, blocks move by one.
    image = torch.zeros(4, 6, dtype=torch.int64)
    image[0, 0], image[3, 5], image[1, 2:4], image[2, 2:4] = 1, 4, 2, 3
    opened = torch.zeros_like(image)
    opened[:2, :2], opened[2:4, 3:5] = 1, 2
    assert torch.equal(_dilated(-_dilated(-image)), opened)
    counts = image.int().numpy()
    adaptive_frames_cpu._open(counts)
    assert np.array_equal(counts, opened)


@pytest.mark.parametrize("impl", IMPLS)
def test_parts_are_halved_where_they_change(impl: Any) -> None:
    """A still block is one frame; a block that jumps is two; an opened block has four pixels."""
    options: dict[str, Any] = {"resolution_hw": HW, "min_events": 1, "impl": impl}
    still_then_jump = blocks(0, 0, 0, 5)
    # All 16: halves {0, 0} and {0, 5} differ by 4 + 4 counts; the second half again, by 8.
    at = adaptive_frames(*still_then_jump, 3, threshold=600 * 8 / 16 - 1, **options)
    assert at.tolist() == [0, 8, 12, 16]
    # At the index itself a part is whole: it is then halved until there are enough frames.
    at = adaptive_frames(*still_then_jump, 2, threshold=600 * 8 / 16, **options)
    assert at.tolist() == [0, 8, 16]
    at = adaptive_frames(*blocks(0, 5, 5, 5), 3, threshold=299, **options)
    assert at.tolist() == [0, 4, 8, 16]


@pytest.mark.parametrize("impl", IMPLS)
def test_small_halves_are_not_searched(impl: Any) -> None:
    options: dict[str, Any] = {"resolution_hw": HW, "threshold": 0, "impl": impl}
    moving = blocks(0, 2, 4, 6)
    assert adaptive_frames(*moving, 4, min_events=7, **options).tolist() == [0, 4, 8, 12, 16]
    # One halving leaves two frames of 8, of which the first is halved to make up three.
    assert adaptive_frames(*moving, 3, min_events=8, **options).tolist() == [0, 4, 8, 16]
    # Four frames of 4: the first pair is joined.
    assert adaptive_frames(*moving, 3, min_events=7, **options).tolist() == [0, 8, 12, 16]


@pytest.mark.parametrize("impl", IMPLS)
def test_few_events(impl: Any) -> None:
    for number in (0, 1, 2):
        x, y, _, p = draw_events(number, HW)
        bounds = adaptive_frames(x, y, p, 4, resolution_hw=HW, impl=impl)
        assert bounds.tolist()[::4] == [0, number]
        assert (bounds.diff() >= 0).all()
    nothing = torch.zeros(1, dtype=torch.int64)
    none = adaptive_frames(x[:0], y[:0], p[:0], 4, resolution_hw=HW, offsets=nothing, impl=impl)
    assert none.shape == (0, 5)


@pytest.mark.parametrize("threshold", [0.0, 20.0, 60.0, 1e4])
@pytest.mark.parametrize("frames", [1, 5, 16])
def test_the_loop_finds_what_the_reference_finds(frames: int, threshold: float) -> None:
    x, y, _, p = draw_events(900, HW, offsets=BOUNDS)
    x[400:450] = 3  # something stands still
    options: dict[str, Any] = {
        "resolution_hw": HW, "offsets": BOUNDS, "min_events": 20, "threshold": threshold
    }  # fmt: skip
    found = adaptive_frames(x, y, p, frames, impl="cpu", **options)
    assert found.shape == (5, frames + 1)
    assert torch.equal(found, adaptive_frames(x, y, p, frames, impl="reference", **options))
    assert torch.equal(found[:, 0], BOUNDS[:-1])
    assert torch.equal(found[:, -1], BOUNDS[1:])


@pytest.mark.parametrize("impl", IMPLS)
def test_a_recording_alone_is_cut_alike(impl: Any) -> None:
    x, y, _, p = draw_events(900, HW, offsets=BOUNDS)
    options: dict[str, Any] = {"resolution_hw": HW, "min_events": 30, "impl": impl}
    batch = adaptive_frames(x, y, p, 6, offsets=BOUNDS, **options)
    for bounds, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        part = (column[begin:end] for column in (x, y, p))
        assert torch.equal(bounds - begin, adaptive_frames(*part, 6, **options))


def test_columns_of_any_kind() -> None:
    x, y, _, p = draw_events(300, HW)
    options: dict[str, Any] = {"resolution_hw": HW, "min_events": 10}
    wanted = adaptive_frames(x, y, p, 6, **options)
    pairs = torch.stack([x.long(), y.long()], 1)
    for signs in (p.bool(), 2 * p.to(torch.int8) - 1, p.float()):
        assert torch.equal(adaptive_frames(*pairs.unbind(1), signs, 6, **options), wanted)


@pytest.mark.parametrize("impl", IMPLS)
def test_opcheck(impl: str) -> None:
    x, y, _, p = draw_events(60, HW)
    arguments = (x, y, p, torch.tensor([0, 20, 60]), 4, *HW, 5, 30.0, impl)
    torch.library.opcheck(adaptive_frames_fwd, arguments)


ZEROS = torch.zeros(5, dtype=torch.int64)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shape": ({"y": ZEROS[1:]}, ValueError, r"y must be \(E\) with E = 5 from x"),
    "float": ({"x": ZEROS.float()}, TypeError, "x must be an integer of up to 64 bits, got"),
    "frames": ({"num_frames": 0}, ValueError, "num_frames must be at least 1, got 0"),
    "least": ({"min_events": 0}, ValueError, "min_events must be at least 1, got 0"),
    "threshold": ({"threshold": -1.0}, ValueError, "threshold must be at least 0 and finite"),
    "sides": ({"resolution_hw": (2, 0)}, ValueError, "resolution_hw must be two positive sides"),
    "offsets": ({"offsets": torch.tensor([0, 4])}, ValueError, "offsets must rise from 0 to 5"),
    "int32": ({"offsets": torch.tensor([0, 5]).int()}, TypeError, "offsets must be int64"),
    "column": ({"x": ZEROS + 3}, ValueError, "x must be 0 to 2, got 3"),
    "impl": ({"impl": "triton"}, ValueError, "impl must be one of auto, cpu, reference"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    arguments: dict[str, Any] = {
        "x": ZEROS, "y": ZEROS, "p": ZEROS, "num_frames": 2, "resolution_hw": (2, 3)
    }  # fmt: skip
    with pytest.raises(error, match=message):
        adaptive_frames(**(arguments | changes))


@pytest.mark.gpu
def test_events_on_a_gpu_are_cut_alike() -> None:
    x, y, _, p = draw_events(900, HW, offsets=BOUNDS)
    options: dict[str, Any] = {"resolution_hw": HW, "min_events": 20}
    found = adaptive_frames(x.cuda(), y.cuda(), p.cuda(), 6, offsets=BOUNDS.cuda(), **options)
    assert found.is_cuda
    assert torch.equal(found.cpu(), adaptive_frames(x, y, p, 6, offsets=BOUNDS, **options))

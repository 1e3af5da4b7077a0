"""Drawn and resized frames: by hand, laws, kernels against the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._impl import interpreting
from pcmamba.ops.draw_events import draw_events as draw_counts
from pcmamba.ops.draw_frames import draw_frames, draw_frames_fwd
from pcmamba.ops.event_histogram import event_histogram
from pcmamba.testing import draw_events

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
HW = (5, 7)
BOUNDS = torch.tensor([0, 0, 20, 20, 21, 60, 60])


def sample() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, y, t, p = draw_events(60, HW, offsets=BOUNDS)
    return x, y, t, p


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x, y, p = torch.tensor([[0, 1, 1, 2], [0, 0, 0, 1], [1, 0, 1, 0]])
    options: dict[str, Any] = {"resolution_hw": (2, 3), "impl": impl}
    frames = draw_frames(x, y, p, torch.tensor([0, 3, 3, 4]), **options)
    assert frames[0].tolist() == [
        [[1, 0, 1], [1, 1, 1]], [[0, 0, 1], [1, 1, 1]], [[0, 0, 1], [1, 1, 1]]
    ]  # fmt: skip
    assert (frames[1] == 1).all()
    assert frames[2, :, 1, 2].tolist() == [0, 0, 1]
    small = draw_frames(x, y, p, torch.tensor([0, 4]), size_hw=(1, 3), **options)
    assert small[0].tolist() == [[[1, 0.5, 0.5]], [[0.5, 0.5, 0.5]], [[0.5, 0.5, 1]]]


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize("size", [None, (4, 4), (8, 11), HW])
def test_kernels_give_the_bits_of_the_reference(
    size: tuple[int, int] | None, background: Any, impl: str
) -> None:
    x, y, _, p = sample()
    options: dict[str, Any] = {"resolution_hw": HW, "size_hw": size, "background": background}
    wanted = draw_frames(x, y, p, BOUNDS, impl="reference", **options)
    assert torch.equal(draw_frames(x, y, p, BOUNDS, impl=impl, **options), wanted)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_it_is_count_then_draw_then_interpolate(impl: Any) -> None:
    x, y, t, p = sample()
    counts = event_histogram(
        x, y, t, p, bins=1, resolution_hw=HW, offsets=BOUNDS, impl="reference"
    )[:, 0]
    wanted = F.interpolate(draw_counts(counts), size=(3, 4), mode="bilinear")
    found = draw_frames(x, y, p, BOUNDS, resolution_hw=HW, size_hw=(3, 4), impl=impl)
    assert (found - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_a_frame_alone_is_the_same(impl: Any) -> None:
    x, y, _, p = sample()
    options: dict[str, Any] = {"resolution_hw": HW, "size_hw": (3, 4), "impl": impl}
    batch = draw_frames(x, y, p, BOUNDS, **options)
    for frame, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        part = (column[begin:end] for column in (x, y, p))
        alone = draw_frames(*part, torch.tensor([0, end - begin]), **options)
        assert torch.equal(alone[0], frame)


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_columns_of_any_kind_and_nothing_at_all(impl: Any) -> None:
    x, y, _, p = sample()
    options: dict[str, Any] = {"resolution_hw": HW, "impl": impl}
    wanted = draw_frames(x, y, p, BOUNDS, **options)
    pairs = torch.stack([x.long(), y.long()], 1)
    for signs in (p.bool(), 2 * p.to(torch.int8) - 1, p.float()):
        assert torch.equal(draw_frames(pairs[:, 0], pairs[:, 1], signs, BOUNDS, **options), wanted)
    none = draw_frames(x[:0], y[:0], p[:0], torch.zeros(1, dtype=torch.int64), **options)
    assert none.shape == (0, 3, *HW)


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    x, y, _, p = sample()
    torch.library.opcheck(draw_frames_fwd, (x, y, p, BOUNDS, *HW, 3, 4, "white", impl))


def test_compiles_without_a_break() -> None:
    def run(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
        return draw_frames(x, y, p, BOUNDS, resolution_hw=HW, size_hw=(3, 4)) + 1

    x, y, _, p = sample()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, y, p), run(x, y, p))


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shape": ({"y": torch.zeros(4).long()}, ValueError, r"y must be \(E\) with E = 5 from x"),
    "float": ({"x": torch.zeros(5)}, TypeError, "x must be an integer of up to 64 bits, got"),
    "sides": ({"resolution_hw": (2, 0)}, ValueError, "resolution_hw must be two positive sides"),
    "size": ({"size_hw": (0, 2)}, ValueError, "size_hw must be two sides of 1 to 32768, got"),
    "large": ({"resolution_hw": (1, 40000)}, ValueError, "sides of 1 to 32768"),
    "background": ({"background": "grey"}, ValueError, "background must be one of black, white"),
    "offsets": ({"offsets": torch.tensor([0, 4])}, ValueError, "offsets must rise from 0 to 5"),
    "int32": ({"offsets": torch.tensor([0, 5]).int()}, TypeError, "offsets must be int64"),
    "column": ({"x": torch.full((5,), 3)}, ValueError, "x must be 0 to 2, got 3"),
    "row": ({"y": torch.full((5,), -1)}, ValueError, "y must be 0 to 1, got -1"),
    "impl": ({"impl": "cuda"}, ValueError, "impl must be one of auto, cpu, nvrtc"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    zeros = torch.zeros(5, dtype=torch.int64)
    arguments: dict[str, Any] = {
        "x": zeros, "y": zeros, "p": zeros, "offsets": torch.tensor([0, 5]), "resolution_hw": (2, 3)
    }  # fmt: skip
    with pytest.raises(error, match=message):
        draw_frames(**(arguments | changes))


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc", "reference"])
@pytest.mark.parametrize("size", [None, (32, 24)])
def test_a_gpu_gives_the_same_bits(size: tuple[int, int] | None, impl: Any) -> None:
    bounds = torch.tensor([0, 0, 30000, 30000, 30001, 100000])
    x, y, _, p = draw_events(100_000, (48, 64), offsets=bounds)
    options: dict[str, Any] = {"resolution_hw": (48, 64), "size_hw": size}
    wanted = draw_frames(x, y, p, bounds, **options)
    found = draw_frames(*(e.cuda() for e in (x, y, p, bounds)), impl=impl, **options)
    assert torch.equal(found.cpu(), wanted)

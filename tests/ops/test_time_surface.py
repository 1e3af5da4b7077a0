"""Ages of the last events: hand cases, laws, kernels against the reference."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.ops._impl import interpreting
from pcmamba.ops.time_surface import time_surface, time_surface_fwd, time_surface_reference
from pcmamba.testing import draw_events

# With a GPU Triton compiles, and takes its tensors only.
KERNELS = ["cpu", "triton"] if interpreting() else ["cpu"]
HW = (5, 7)
BOUNDS = torch.tensor([0, 0, 60, 60, 61, 150, 150])


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_by_hand(impl: str) -> None:
    x, y = torch.tensor([0, 1, 0, 1]), torch.zeros(4, dtype=torch.int64)
    t, p = torch.tensor([100, 110, 120, 150]), torch.tensor([1, 0, 1, 0])
    options = {"resolution_hw": (1, 2), "tau": 100.0, "decay": "linear", "impl": impl}
    last = time_surface(x, y, t, p, **options)
    torch.testing.assert_close(last, torch.tensor([[[[0.0, 1.0]], [[0.7, 0.0]]]]))
    frames = time_surface(x, y, t, p, bins=2, **options)
    wanted = torch.tensor([[[[0.0, 1.0]], [[0.9, 0.0]]], [[[0.0, 1.0]], [[0.7, 0.0]]]])
    torch.testing.assert_close(frames, wanted)
    by_time = time_surface(x, y, t, p, bins=2, split="time", **options)  # ends at 125 and 150
    wanted = torch.tensor([[[[0.0, 0.85]], [[0.95, 0.0]]], [[[0.0, 1.0]], [[0.7, 0.0]]]])
    torch.testing.assert_close(by_time, wanted)
    at = time_surface(x, y, t, p, at=torch.tensor([99, 120, 300]), **options)
    assert at[0].count_nonzero() == at[2].count_nonzero() == 0
    torch.testing.assert_close(at[1], torch.tensor([[[0.0, 0.9]], [[1.0, 0.0]]]))
    fading = time_surface(x, y, t, p, resolution_hw=(1, 2), tau=30.0, impl=impl)
    torch.testing.assert_close(float(fading[0, 1, 0, 0]), math.exp(-1.0))


@pytest.mark.parametrize("impl", KERNELS)
@pytest.mark.parametrize("options", [{}, {"split": "time"}, {"decay": "linear"}], ids=str)
@pytest.mark.parametrize("offsets", [None, BOUNDS], ids=["one", "ragged"])
def test_kernels_as_good_as_float32(
    offsets: Tensor | None, options: dict[str, Any], impl: str
) -> None:
    events = draw_events(150, HW, offsets=offsets, microseconds=100_000)
    surface = time_surface(*events, bins=4, resolution_hw=HW, offsets=offsets, impl=impl, **options)
    split, decay = options.get("split", "count"), options.get("decay", "exp")
    exact = time_surface_reference(*events, offsets, None, 4, *HW, split, 50_000.0, decay)
    assert surface.dtype == torch.float32
    assert exact.dtype == torch.float64
    assert (surface - (exact[0] if offsets is None else exact)).abs().max() <= 4e-7


@pytest.mark.parametrize("impl", KERNELS)
def test_kernels_at_given_times(impl: str) -> None:
    events = draw_events(150, HW, offsets=BOUNDS, microseconds=1000)
    at = torch.tensor([[0, 200, 200, 999]] * 6) + (1 << 40)
    at[4] += 100
    options = {"at": at, "resolution_hw": HW, "offsets": BOUNDS, "tau": 300.0}
    one, two = (time_surface(*events, impl=name, **options) for name in (impl, "reference"))
    torch.testing.assert_close(one, two, rtol=0, atol=4e-7)
    assert torch.equal(one[:, 1], one[:, 2])


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_ragged_is_looped_and_batch_mates_change_nothing(impl: str) -> None:
    events = draw_events(150, HW, offsets=BOUNDS)
    options = {"bins": 3, "resolution_hw": HW, "split": "time", "impl": impl}
    batch = time_surface(*events, offsets=BOUNDS, **options)
    for surface, (begin, end) in zip(batch, itertools.pairwise(BOUNDS.tolist()), strict=True):
        assert torch.equal(surface, time_surface(*(e[begin:end] for e in events), **options))


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_the_last_frame_is_the_whole_recording(impl: str) -> None:
    events = draw_events(150, HW)
    whole = time_surface(*events, resolution_hw=HW, impl=impl)
    for split in ("count", "time"):
        frames = time_surface(*events, bins=4, split=split, resolution_hw=HW, impl=impl)
        assert torch.equal(frames[-1:], whole)
        alive = (frames > 0).flatten(1).sum(1)
        assert (alive.diff() >= 0).all()
    assert float(whole.max()) == 1.0


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_no_events_leave_nothing(impl: str) -> None:
    surface = time_surface(*draw_events(0, HW), bins=2, resolution_hw=HW, impl=impl)
    assert surface.shape == (2, 2, *HW)
    assert surface.count_nonzero() == 0


@pytest.mark.parametrize("impl", ["reference", *KERNELS])
def test_no_recordings(impl: str) -> None:
    nothing = torch.zeros(1, dtype=torch.int64)
    options = {"bins": 3, "resolution_hw": HW, "offsets": nothing, "impl": impl}
    assert time_surface(*draw_events(0, HW), **options).shape == (0, 3, 2, *HW)


@pytest.mark.parametrize("impl", KERNELS)
def test_opcheck(impl: str) -> None:
    events = draw_events(20, HW)
    for at in (None, torch.tensor([[1 << 40, 1 << 41]])):
        arguments = (*events, None, at, 2, *HW, "count", 5e4, "exp", impl)
        torch.library.opcheck(time_surface_fwd, arguments)


def test_compiles_without_a_break() -> None:
    def run(x: Tensor, y: Tensor, t: Tensor, p: Tensor) -> Tensor:
        return time_surface(x, y, t, p, bins=3, resolution_hw=HW) + 1

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager", dynamic=True)
    events = draw_events(30, HW)
    assert torch.equal(compiled(*events), run(*events))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tau": 0.0}, ValueError, "tau must be positive and finite, got 0.0"),
        ({"decay": "lin"}, ValueError, "decay must be one of exp, linear, got 'lin'|Did you mean"),
        ({"bins": 2, "at": torch.tensor([1])}, ValueError, "bins must be left out .* got 2"),
        ({"at": torch.tensor([1.0])}, TypeError, "at must be int64, got torch.float32"),
        ({"at": torch.tensor([[1]])}, ValueError, r"at must be \(T,\), got \(1, 1\)"),
        (
            {"at": torch.tensor([1]), "offsets": torch.tensor([0, 9, 150])},
            ValueError,
            r"at must be \(2, T\), got \(1,\)",
        ),
        ({"at": torch.tensor([5, 4])}, ValueError, "at must not fall"),
        ({"resolution_hw": (2, 7)}, ValueError, "y must be 0 to 1, got 4"),
    ],
    ids=["tau", "decay", "both", "float", "axes", "ragged", "falls", "row"],
)
def test_errors(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = dict(zip("xytp", draw_events(150, HW), strict=True))
    with pytest.raises(error, match=message):
        time_surface(**({**arguments, "resolution_hw": HW} | changes))


@pytest.mark.gpu
@pytest.mark.parametrize("impl", ["triton", "nvrtc"])
@pytest.mark.parametrize("split", ["count", "time", "at"])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_gpu_draws_the_same(ragged: bool, split: str, impl: str) -> None:
    offsets = torch.tensor([0, 0, 30000, 30000, 30001, 100000]) if ragged else None
    events = draw_events(100_000, (48, 64), offsets=offsets)
    frames: dict[str, Any] = {"bins": 5, "split": split}
    if split == "at":
        at = (1 << 40) + torch.tensor([1000, 500_000, 900_000])
        frames = {"at": at.expand(5, 3) if ragged else at}
    wanted = time_surface(*events, resolution_hw=(48, 64), offsets=offsets, **frames)
    if split == "at":
        frames["at"] = frames["at"].cuda()
    moved = None if offsets is None else offsets.cuda()
    device = [e.cuda() for e in events]
    options = {"resolution_hw": (48, 64), "offsets": moved, "impl": impl, **frames}
    found, again = (time_surface(*device, **options) for _ in range(2))
    assert torch.equal(found, again)
    torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=4e-7)

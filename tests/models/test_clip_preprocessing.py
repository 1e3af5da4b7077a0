"""Clips of recordings: each representation against its ops, laws, fields."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.models import ClipPreprocessing
from pcmamba.ops import adaptive_frames, event_histogram, events_to_voxel_grid, time_surface
from pcmamba.ops import draw_events as draw_counts
from pcmamba.testing import draw_events

HW = (12, 20)
BOUNDS = torch.tensor([0, 0, 300, 300, 302, 900])
KINDS = ("drawn", "histogram", "voxel", "surface")


def sample(seed: int = 0) -> tuple[Tensor, ...]:
    return (*draw_events(900, HW, offsets=BOUNDS, seed=seed), BOUNDS)


def own(kind: str, split: Any) -> Tensor:
    """Frames (B, 3, C, 12, 20) straight from the ops."""
    *events, bounds = sample()
    options: dict[str, Any] = {"bins": 3, "resolution_hw": HW, "offsets": bounds}
    if kind == "voxel":
        return events_to_voxel_grid(*events, normalize=True, **options)[:, :, None]
    if kind == "surface":
        return time_surface(*events, split=split, **options)
    counts = event_histogram(*events, split=split, **options)
    return draw_counts(counts) if kind == "drawn" else counts.double().log1p().float()


@pytest.mark.parametrize("slicing", ["count", "time"])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_of_the_ops(kind: Any, slicing: Any) -> None:
    options: dict[str, Any] = {"num_frames": 3, "slicing": slicing, "representation": kind}
    plain = ClipPreprocessing(**options, size_hw=None, patch_size=1)
    frames = plain.frames(*sample(), HW)
    assert frames.dtype == torch.float32
    assert frames.shape == (5, 3, plain.channels, *HW)
    assert torch.equal(frames, own(kind, slicing))
    sized = ClipPreprocessing(**options, size_hw=(8, 8)).frames(*sample(), HW)
    wanted = F.interpolate(own(kind, slicing).flatten(0, 1), size=(8, 8), mode="bilinear")
    assert (sized.flatten(0, 1) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["drawn", "histogram", "surface"])
def test_adaptive_frames_are_drawn(kind: Any) -> None:
    options: dict[str, Any] = {"size_hw": None, "patch_size": 1, "min_events": 50, "threshold": 9.0}
    pre = ClipPreprocessing(4, "adaptive", kind, **options)
    x, y, t, p, offsets = sample()
    frames = pre.frames(x, y, t, p, offsets, HW)
    bounds = adaptive_frames(
        x, y, p, 4, resolution_hw=HW, offsets=offsets, min_events=50, threshold=9.0
    )
    for b, f in itertools.product((1, 4), range(4)):
        part = slice(int(bounds[b, f]), int(bounds[b, f + 1]))
        until = slice(int(bounds[b, 0]), int(bounds[b, f + 1]))
        if kind == "surface":
            one = time_surface(x[until], y[until], t[until], p[until], resolution_hw=HW)[0]
        else:
            columns = (column[part] for column in (x, y, t, p))
            one = event_histogram(*columns, bins=1, resolution_hw=HW)[0]
            one = draw_counts(one) if kind == "drawn" else one.double().log1p().float()
        assert torch.equal(frames[b, f], one)


@pytest.mark.parametrize("size", [None, (16, 8)])
@pytest.mark.parametrize("slicing", ["count", "time", "adaptive"])
@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_never_change_a_clip(kind: Any, slicing: Any, size: Any) -> None:
    pre = ClipPreprocessing(num_frames=4, slicing=slicing, representation=kind, size_hw=size)
    *events, bounds = sample()
    batch = pre.frames(*events, bounds, HW)
    for frames, (begin, end) in zip(batch, itertools.pairwise(bounds.tolist()), strict=True):
        part = [column[begin:end] for column in events]
        alone = pre.frames(*part, torch.tensor([0, end - begin]), HW)
        assert torch.equal(alone[0], frames)


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize("kind", KINDS)
def test_recordings_without_events_and_padding_are_background(kind: Any, background: Any) -> None:
    pre = ClipPreprocessing(representation=kind, background=background, size_hw=None)
    adaptive = dataclasses.replace(pre, slicing="adaptive").frames(*sample(), HW)
    assert (adaptive[[0, 2]] == pre.fill).all()
    frames = pre.frames(*sample(), HW)
    assert frames.shape[-2:] == pre.frame_hw(HW) == (16, 24)
    fill = 1.0 if (kind, background) == ("drawn", "white") else 0.0
    assert pre.fill == fill
    assert (frames[[0, 2]] == fill).all()
    assert (frames[..., 12:, :] == fill).all()
    assert (frames[..., 20:] == fill).all()
    assert (frames[4] != fill).any()
    *events, _ = sample()
    none = pre.frames(*(column[:0] for column in events), torch.zeros(1, dtype=torch.int64), HW)
    assert none.shape == (0, 8, pre.channels, 16, 24)


def test_counts_are_cut_and_divided() -> None:
    x = torch.zeros(9, dtype=torch.int64)
    p = torch.tensor([1, 1, 1, 1, 1, 1, 0, 0, 0])
    events = (x, x, x, p, torch.tensor([0, 9]), (1, 1))
    pre = ClipPreprocessing(1, representation="histogram", size_hw=None, patch_size=1, clip=4)
    assert pre.frames(*events).flatten().tolist() == [0.75, 1.0]
    log = dataclasses.replace(pre, clip=0).frames(*events).flatten()
    assert torch.equal(log, torch.tensor([4.0, 7.0], dtype=torch.float64).log().float())


def test_a_smaller_sensor_stands_in_the_canvas_corner() -> None:
    pre = ClipPreprocessing(resolution_hw=(16, 24), size_hw=None)
    frames = pre.frames(*sample(), HW)
    assert torch.equal(frames, ClipPreprocessing(size_hw=None).frames(*sample(), HW))
    with pytest.raises(ValueError, match=r"resolution_hw must fit the canvas \(16, 24\)"):
        pre.frames(*sample(), (17, 24))


def test_it_survives_a_file() -> None:
    pre = ClipPreprocessing(4, "time", "histogram", (34, 34), None, 4, "black", 3, 1e4)
    assert ClipPreprocessing(**json.loads(json.dumps(dataclasses.asdict(pre)))) == pre
    assert pre.frame_hw((10, 10)) == (36, 36)
    assert ClipPreprocessing().frame_hw((260, 346)) == (128, 128)


BAD = {
    "slicing": ({"slicing": "cont"}, "slicing must be one of .*Did you mean 'count'"),
    "kind": ({"representation": "draw"}, "representation must be one of .*Did you mean 'drawn'"),
    "background": ({"background": "grey"}, "background must be one of black, white, got 'grey'"),
    "frames": ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
    "patch": ({"patch_size": 0}, "patch_size must be at least 1, got 0"),
    "clip": ({"clip": -1}, "clip must be at least 0, got -1"),
    "least": ({"min_events": 0}, "min_events must be at least 1, got 0"),
    "threshold": ({"threshold": -1.0}, "threshold must be at least 0 and finite, got -1.0"),
    "tau": ({"tau": 0.0}, "tau must be positive and finite, got 0.0"),
    "size": ({"size_hw": (0, 3)}, r"size_hw must be two positive sides, got \(0, 3\)"),
    "canvas": ({"resolution_hw": (3,)}, "resolution_hw must be two positive sides, got"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_wrong_fields(case: tuple[dict[str, Any], str]) -> None:
    with pytest.raises(ValueError, match=case[1]):
        ClipPreprocessing(**case[0])


def test_wrong_events() -> None:
    x, y, t, p, bounds = sample()
    pre = ClipPreprocessing()
    with pytest.raises(ValueError, match="x must be 0 to 19, got 20"):
        pre.frames(x + 20 * (x == 0), y, t, p, bounds, HW)
    with pytest.raises(ValueError, match="t must not fall within a recording"):
        pre.frames(x, y, t.flip(0), p, bounds, HW)
    with pytest.raises(ValueError, match="offsets must rise from 0 to 900"):
        pre.frames(x, y, t, p, bounds[:-1], HW)
    with pytest.raises(TypeError, match="x must be an integer"):
        pre.frames(x.float(), y, t, p, bounds, HW)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [None, (16, 8)])
@pytest.mark.parametrize("slicing", ["count", "time", "adaptive"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_draws_alike(kind: Any, slicing: Any, size: Any) -> None:
    pre = ClipPreprocessing(num_frames=4, slicing=slicing, representation=kind, size_hw=size)
    wanted = pre.frames(*sample(), HW)
    found = pre.frames(*(column.cuda() for column in sample()), HW).cpu()
    if kind in ("drawn", "histogram"):
        assert torch.equal(found, wanted)
    assert (found - wanted).abs().max() < 1e-5

"""Geometric augmentation of clips: one draw for all frames, filled with the background."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from pcmamba.data.batch import ClipBatch, Draw
from pcmamba.data.transforms import AugmentClip
from pcmamba.data.transforms.clips.augment_clip import _Change, _sources

DRAW = Draw(seed=11, epoch=4)
OFF: dict[str, float] = {"shear": 0, "translate": 0, "rotate": 0, "cut_out": 0}


def _batch(size: int = 40, hw: tuple[int, int] = (12, 16)) -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(size, 3, 2, *hw, generator=generator)
    return ClipBatch(frames, torch.arange(size) % 3, torch.arange(size) * 7 + 1, 1.0)


def test_batch_mates_never_change_a_clip_and_inputs_stay() -> None:
    batch = _batch()
    before = batch.frames.clone()
    whole = AugmentClip()(batch, DRAW)
    assert torch.equal(batch.frames, before)
    assert whole.frames.dtype == torch.float32
    for row in (0, 7, 39):
        columns = (part[row : row + 1] for part in (batch.frames, batch.labels, batch.index))
        alone = AugmentClip()(ClipBatch(*columns, batch.background), DRAW)
        assert torch.equal(alone.frames[0], whole.frames[row])
    assert not torch.equal(whole.frames, AugmentClip()(batch, Draw(11, 5)).frames)
    assert torch.equal(whole.labels, batch.labels)


def test_all_frames_and_channels_move_alike() -> None:
    batch = _batch()
    same = batch.frames[:, :1, :1].expand(-1, 3, 2, -1, -1)
    out = AugmentClip()(dataclasses.replace(batch, frames=same), DRAW).frames
    assert torch.equal(out, out[:, :1, :1].expand_as(out))


def test_every_way_occurs_and_none_but_one_at_a_time() -> None:
    batch = _batch(600)
    unit = DRAW.uniform(batch.index, "augment_clip", (4,)).double()
    change = AugmentClip()._drawn(unit)
    used = torch.stack([value != 0 for value in vars(change).values()], 1)
    assert used.sum(1).max() == 1
    share = torch.cat([used.float().mean(0), (~used.any(1)).float().mean()[None]])
    assert (share - 1 / 6).abs().max() < 0.05
    for name, most in (("shear", 0.3), ("right", 5.0), ("down", 5.0), ("angle", math.pi / 6)):
        values = getattr(change, name)
        assert values.abs().max() <= most
        assert values.max() > 0.9 * most
        assert values.min() < -0.9 * most
    erased = change.erased[change.erased > 0]
    assert 0.001 <= erased.min() < 0.01
    assert 0.1 < erased.max() <= 0.11


def _still(**values: float) -> _Change:
    names = ("shear", "right", "down", "angle", "erased")
    return _Change(*(torch.tensor([values.get(n, 0.0)], dtype=torch.float64) for n in names))


def test_sources_by_hand() -> None:
    frame = torch.arange(12).view(3, 4)

    def moved(change: _Change) -> list[list[int]]:
        source, inside = _sources(change, 3, 4)
        return torch.where(inside, frame.flatten()[source], -1)[0].tolist()

    assert moved(_still()) == frame.tolist()
    assert moved(_still(right=1.0)) == [[-1, 0, 1, 2], [-1, 4, 5, 6], [-1, 8, 9, 10]]
    assert moved(_still(down=-2.0)) == [[8, 9, 10, 11], [-1] * 4, [-1] * 4]
    # Rows above the centre take from the left, rows below from the right.
    assert moved(_still(shear=1.0)) == [[-1, 0, 1, 2], [4, 5, 6, 7], [9, 10, 11, -1]]
    assert moved(_still(angle=math.pi)) == frame.flip(0, 1).tolist()
    square = torch.arange(9).view(3, 3)
    source, inside = _sources(_still(angle=math.pi / 2), 3, 3)
    assert bool(inside.all())
    assert torch.equal(square.flatten()[source][0], square.rot90(-1))  # clockwise


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_what_is_moved_in_and_cut_out_is_background(background: float) -> None:
    batch = dataclasses.replace(_batch(), background=background)
    batch = dataclasses.replace(batch, frames=torch.full_like(batch.frames, 0.5))
    out = AugmentClip()(batch, DRAW).frames
    assert sorted(out.unique().tolist()) == sorted([0.5, background])
    cut = AugmentClip(**(OFF | {"cut_out": 0.25}))(batch, DRAW).frames
    erased = (cut == background).flatten(3).float().mean(3)
    assert erased.max() <= 0.28
    assert erased.max() > 0.15
    rows = (cut[:, 0, 0] == background).any(2).sum(1)
    columns = (cut[:, 0, 0] == background).any(1).sum(1)
    assert torch.equal(rows, columns)


def test_sizes_of_zero_leave_clips_alone() -> None:
    batch = _batch()
    assert torch.equal(AugmentClip(**OFF)(batch, DRAW).frames, batch.frames)


@pytest.mark.parametrize("name", OFF)
def test_errors(name: str) -> None:
    options: dict[str, Any] = {name: -1.0}
    with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1.0"):
        AugmentClip(**options)
    with pytest.raises(ValueError, match="cut_out must be at most 1, got"):
        AugmentClip(cut_out=1.5)


@pytest.mark.gpu
def test_a_gpu_moves_alike() -> None:
    found = AugmentClip()(_batch().to("cuda"), DRAW).to("cpu")
    assert torch.equal(found.frames, AugmentClip()(_batch(), DRAW).frames)

"""Laws that every transform of events obeys, and what each one does."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor

from pcmamba.data.batch import Draw, EventBatch
from pcmamba.data.transforms import (
    TRANSFORMS,
    CropTime,
    Denoise,
    DropEvents,
    FlipEvents,
    FlipPolarity,
    ShiftEvents,
    TimeJitter,
)
from pcmamba.testing import draw_events

ALL: dict[str, Any] = {
    "crop_time": CropTime(0.3),
    "denoise": Denoise(50),
    "drop_events": DropEvents(0.9),
    "flip_events": FlipEvents(0.5, 0.5),
    "flip_polarity": FlipPolarity(),
    "shift_events": ShiftEvents(4),
    "time_jitter": TimeJitter(30.0),
}
RANDOM = sorted(set(ALL) - {"denoise"})
DRAW = Draw(seed=11, epoch=4)
HW = (9, 13)
BOUNDS = torch.tensor([0, 200, 200, 201, 500, 800])
COLUMNS = "xytp"


def _batch() -> EventBatch:
    x, y, t, p = draw_events(800, HW, offsets=BOUNDS, microseconds=2000)
    first = t[BOUNDS[:-1].clamp(max=799)]
    t = t - first.repeat_interleave(BOUNDS.diff())
    return EventBatch(x, y, t, p, BOUNDS, torch.arange(5) % 3, torch.arange(5) * 7 + 1, HW)


def _part(batch: EventBatch, rows: list[int]) -> EventBatch:
    chosen = [torch.arange(int(batch.offsets[r]), int(batch.offsets[r + 1])) for r in rows]
    events = torch.cat(chosen)
    offsets = torch.tensor([0, *map(len, chosen)]).cumsum(0)
    columns = {name: getattr(batch, name)[events] for name in COLUMNS}
    return dataclasses.replace(
        batch, **columns, offsets=offsets, labels=batch.labels[rows], index=batch.index[rows]
    )


def _recording(batch: EventBatch, row: int) -> dict[str, Tensor]:
    part = slice(int(batch.offsets[row]), int(batch.offsets[row + 1]))
    return {name: getattr(batch, name)[part] for name in COLUMNS}


def _equal(a: EventBatch, b: EventBatch) -> bool:
    names = (*COLUMNS, "offsets", "labels", "index")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def test_every_registered_transform_is_tested_here() -> None:
    kinds = {name: get_type_hints(TRANSFORMS[name].__call__)["batch"] for name in TRANSFORMS}
    assert {name for name, kind in kinds.items() if kind is EventBatch} == set(ALL)
    for name, transform in ALL.items():
        assert TRANSFORMS[name] is type(transform)
        assert getattr(transform, "stream", name) == name


@pytest.mark.parametrize("name", ALL)
def test_batch_mates_never_change_a_recording(name: str) -> None:
    whole = ALL[name](_batch(), DRAW)
    for rows in ([3], [4, 0, 3], [1, 2, 3]):
        part = ALL[name](_part(_batch(), rows), DRAW)
        assert _equal(part, _part(whole, rows))


@pytest.mark.parametrize("name", ALL)
def test_results_are_batches_of_events(name: str) -> None:
    batch = _batch()
    before = {field: getattr(batch, field).clone() for field in (*COLUMNS, "offsets", "labels")}
    out = ALL[name](batch, DRAW)
    assert all(torch.equal(getattr(batch, field), value) for field, value in before.items())
    assert [getattr(out, column).dtype for column in COLUMNS] == [
        torch.int16, torch.int16, torch.int64, torch.uint8
    ]  # fmt: skip
    assert int(out.offsets[0]) == 0
    assert int(out.offsets[-1]) == len(out.t) == len(out.x) == len(out.y) == len(out.p)
    assert 0 <= int(out.x.min()) <= int(out.x.max()) < HW[1]
    assert 0 <= int(out.y.min()) <= int(out.y.max()) < HW[0]
    assert int(out.t.min()) >= 0
    for row in range(5):
        assert (_recording(out, row)["t"].diff() >= 0).all()
    assert out.index.tolist() == batch.index.tolist()
    assert out.resolution_hw == HW


@pytest.mark.parametrize("name", ALL)
def test_batches_without_events(name: str) -> None:
    empty = _part(_batch(), [1])
    assert _equal(ALL[name](empty, DRAW), empty)


@pytest.mark.parametrize("name", ALL)
def test_equal_keys_give_equal_bits_and_the_global_generator_is_left_alone(name: str) -> None:
    state = torch.get_rng_state()
    assert _equal(ALL[name](_batch(), DRAW), ALL[name](_batch(), DRAW))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("draw", [Draw(12, 4), Draw(11, 5)], ids=["seed", "epoch"])
def test_seed_and_epoch_change_the_draw(name: str, draw: Draw) -> None:
    assert not _equal(ALL[name](_batch(), DRAW), ALL[name](_batch(), draw))


@pytest.mark.parametrize("name", RANDOM)
def test_recordings_of_a_batch_draw_apart(name: str) -> None:
    batch = _part(_batch(), [3] * 8)
    batch = dataclasses.replace(batch, index=torch.arange(8))
    out = ALL[name](batch, DRAW)
    outcomes = {tuple(t.numpy().tobytes() for t in _recording(out, r).values()) for r in range(8)}
    assert len(outcomes) > 1


def test_drop_events_keeps_a_share_between_none_and_all() -> None:
    batch = _part(_batch(), [3] * 200)
    out = DropEvents(0.5)(dataclasses.replace(batch, index=torch.arange(200)), DRAW)
    share = out.offsets.diff() / 300
    assert share.min() < 0.56
    assert share.max() > 0.97
    assert abs(float(share.mean()) - 0.75) < 0.03
    assert _equal(DropEvents(0.0)(_batch(), DRAW), _batch())


def test_time_jitter_moves_events_by_its_deviation_and_keeps_each_whole() -> None:
    count = 20_000
    batch = EventBatch(
        torch.zeros(count).short(), torch.zeros(count).short(), torch.arange(count) * 100 + 10**6,
        (torch.arange(count) % 2).byte(), torch.tensor([0, count]), torch.zeros(1).long(),
        torch.tensor([3]), (1, 1),
    )  # fmt: skip
    # The pixel tells which event it was.
    batch = dataclasses.replace(batch, x=(torch.arange(count) % 2**15).short())
    out = TimeJitter(50.0)(batch, DRAW)
    moved = out.t - batch.t[out.x.long()]
    assert abs(float(moved.double().std()) - 50.0) < 1.0
    assert abs(float(moved.double().mean())) < 1.5
    assert torch.equal(out.p, batch.p[out.x.long()])
    assert not torch.equal(out.x, batch.x)
    assert _equal(TimeJitter(0.0)(_batch(), DRAW), _batch())


def test_shift_events_moves_a_recording_as_one_and_never_wraps() -> None:
    batch = _part(_batch(), [3] * 40)
    out = ShiftEvents(2)(dataclasses.replace(batch, index=torch.arange(40)), DRAW)
    wanted = _recording(batch, 0)
    steps = set()
    for row in range(40):
        found = _recording(out, row)
        match = [
            (dx, dy)
            for dx in range(-2, 3)
            for dy in range(-2, 3)
            if _shifted(wanted, dx, dy, found)
        ]
        assert len(match) == 1
        steps.update(match)
    assert {dx for dx, _ in steps} == {dy for _, dy in steps} == {-2, -1, 0, 1, 2}


def _shifted(wanted: dict[str, Tensor], dx: int, dy: int, found: dict[str, Tensor]) -> bool:
    x, y = wanted["x"] + dx, wanted["y"] + dy
    stays = (x >= 0) & (x < HW[1]) & (y >= 0) & (y < HW[0])
    columns = {"x": x, "y": y, "t": wanted["t"], "p": wanted["p"]}
    return all(torch.equal(columns[name][stays], found[name]) for name in COLUMNS)


def test_flips_are_mirrors_and_exchange_named_classes() -> None:
    batch = _batch()
    out = FlipEvents(1.0, 0.0, swap_labels=((0, 2),))(batch, DRAW)
    assert torch.equal(out.x, 12 - batch.x)
    assert torch.equal(out.y, batch.y)
    assert batch.labels.tolist() == [0, 1, 2, 0, 1]
    assert out.labels.tolist() == [2, 1, 0, 2, 1]
    out = FlipEvents(0.0, 1.0, swap_labels=((0, 2),))(batch, DRAW)
    assert torch.equal(out.y, 8 - batch.y)
    assert torch.equal(out.x, batch.x)
    assert torch.equal(out.labels, batch.labels)
    assert torch.equal(FlipPolarity(1.0)(batch, DRAW).p, 1 - batch.p)
    assert torch.equal(FlipPolarity(0.0)(batch, DRAW).p, batch.p)


def test_crop_time_keeps_one_stretch() -> None:
    batch = _batch()
    out = CropTime(0.3)(batch, DRAW)
    for row in (0, 3, 4):
        before, after = _recording(batch, row), _recording(out, row)
        assert 0 < len(after["t"]) < len(before["t"])
        found = [
            begin
            for begin in range(len(before["t"]) - len(after["t"]) + 1)
            if all(
                torch.equal(before[name][begin : begin + len(after["t"])], after[name])
                for name in "xyp"
            )
        ]
        assert len(found) == 1
        part = before["t"][found[0] : found[0] + len(after["t"])]
        assert len(torch.unique(part - after["t"])) == 1
    assert _equal(CropTime(1.0)(batch, DRAW), batch)


def test_denoise_keeps_what_the_filter_keeps() -> None:
    x = torch.tensor([1, 2, 8, 1, 2]).short()
    y = torch.tensor([1, 1, 5, 1, 1]).short()
    t, p = torch.tensor([0, 40, 50, 0, 60]), torch.ones(5).byte()
    batch = EventBatch(x, y, t, p, torch.tensor([0, 3, 5]), torch.zeros(2), torch.arange(2), HW)
    out = Denoise(50)(batch, DRAW)
    assert out.offsets.tolist() == [0, 1, 1]
    assert (out.x.tolist(), out.t.tolist()) == ([2], [40])


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "crop": (CropTime, {"min_ratio": 1.5}, "min_ratio must be in 0 … 1, got 1.5"),
    "drop": (DropEvents, {"max_ratio": -0.5}, "max_ratio must be in 0 … 1, got -0.5"),
    "window": (Denoise, {"window": -1}, "window must be at least 0, got -1"),
    "neighbours": (Denoise, {"neighbours": 5}, "neighbours must be 4 or 8, got 5"),
    "horizontal": (FlipEvents, {"horizontal": 2.0}, "horizontal must be in 0 … 1, got 2.0"),
    "vertical": (FlipEvents, {"vertical": 2.0}, "vertical must be in 0 … 1, got 2.0"),
    "pairs": (FlipEvents, {"swap_labels": [[0, 1], [1, 2]]}, "swap_labels must be pairs of diff"),
    "polarity": (FlipPolarity, {"probability": 2.0}, "probability must be in 0 … 1, got 2.0"),
    "distance": (ShiftEvents, {"distance": -1}, "distance must be at least 0, got -1"),
    "sigma": (TimeJitter, {"sigma": -1.0}, "sigma must be at least 0, got -1.0"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_errors(case: tuple[Any, dict[str, Any], str]) -> None:
    kind, options, message = case
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_a_gpu_draws_alike(name: str) -> None:
    assert _equal(ALL[name](_batch().to("cuda"), DRAW).to("cpu"), ALL[name](_batch(), DRAW))

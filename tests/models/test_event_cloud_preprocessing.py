"""Clouds of events: places by hand, choice by parts, batch-mates without influence."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import EventCloudPreprocessing


def cloud(spec, recordings, resolution_hw=(2, 4), place=None):
    """Recordings are lists of (x, y, t, p)."""
    sizes = torch.tensor([0, *map(len, recordings)])
    rows = torch.tensor([event for r in recordings for event in r]).reshape(-1, 4)
    x, y, t, p = rows.unbind(1)
    columns = (x.to(torch.int16), y.to(torch.int16), t, p.to(torch.uint8))
    return spec.cloud(*columns, sizes.cumsum(0), resolution_hw, place)


THREE = [(0, 0, 0, 1), (3, 1, 100, 0), (1, 0, 400, 1)]


def test_places_and_polarities_by_hand():
    points, features = cloud(EventCloudPreprocessing(3), [THREE])
    wanted = torch.tensor([[-0.75, 0.25, -1.0], [0.75, -0.25, -0.5], [-0.25, 0.25, 1.0]])
    assert torch.equal(points[0], wanted)
    assert features[0, :, 0].tolist() == [1.0, -1.0, 1.0]
    longer = cloud(EventCloudPreprocessing(3, (8, 8), time_scale=2.0), [THREE])[0]
    assert torch.equal(longer[0, :, 2], 2 * wanted[:, 2])
    assert longer[0, 0, :2].tolist() == [-0.875, 0.875]


def test_each_part_of_a_recording_gives_one_event():
    many = [(i % 4, 0, i, 1) for i in range(100)]
    spec = EventCloudPreprocessing(10)
    times = ((cloud(spec, [many])[0][0, :, 2] + 1) / 2 * 99).round().tolist()
    assert times == [10 * i + 5 for i in range(10)]
    place = torch.rand(1, 10, generator=torch.Generator().manual_seed(0))
    drawn = ((cloud(spec, [many], place=place)[0][0, :, 2] + 1) / 2 * 99).round()
    assert torch.equal((drawn / 10).floor(), torch.arange(10.0))


def test_short_and_empty_recordings_and_batch_mates():
    spec = EventCloudPreprocessing(5)
    points, features = cloud(spec, [THREE, [], THREE[:1], []])
    assert torch.equal(points[0], cloud(spec, [THREE])[0][0])
    assert not points[1].any() and not features[1].any() and not points[3].any()
    assert torch.equal(points[2], points[2][:1].expand(5, 3)), "one event five times"
    assert len(points[0].unique(dim=0)) == 3
    empty, none = cloud(spec, [[], []])
    assert empty.shape == (2, 5, 3) and none.shape == (2, 5, 1) and not empty.any()


def test_documented_errors():
    with pytest.raises(ValueError, match="num_events must be at least 1, got 0"):
        EventCloudPreprocessing(0)
    with pytest.raises(ValueError, match="time_scale must be positive, got 0"):
        EventCloudPreprocessing(time_scale=0)
    with pytest.raises(ValueError, match=r"must fit the sensor \(2, 4\).* got \(3, 4\)"):
        cloud(EventCloudPreprocessing(3, (2, 4)), [THREE], (3, 4))

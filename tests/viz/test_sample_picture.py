from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import torch

from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.structures import CloudSet
from pcmamba.viz.sample_picture import sample_png


def picture(png):
    return matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]


def test_a_cloud_is_square_and_shows_its_first_points_alone():
    points = torch.rand(2, 64, 3, generator=torch.Generator().manual_seed(0))
    clouds = CloudSet(points, torch.tensor([0, 1]), ("a", "b"), ("x", "y"), "s", "test", "z")
    whole, first, other = (picture(sample_png(clouds, *which)) for which in ((0,), (0, 32), (1,)))
    assert whole.shape[0] == whole.shape[1]
    assert (whole < 0.9).any()
    assert (whole != first).any()
    assert (whole != other).any()


def test_a_recording_is_drawn_by_polarity():
    columns = (np.arange(8, dtype=np.int16), np.zeros(8, np.int16), np.arange(8, dtype=np.int64))
    events = [Events(*columns, np.full(8, p, np.uint8), (8, 8)) for p in (0, 1)]
    names = {"class_names": ("a", "b"), "ids": ("x", "y"), "name": "s", "split": "test"}
    recordings = EventSet.from_recordings(events, [0, 1], **names)
    darker, brighter = (picture(sample_png(recordings, i)) for i in (0, 1))
    assert (darker[..., 0] >= darker[..., 2]).all()
    assert (brighter[..., 2] >= brighter[..., 0]).all()
    assert (brighter < 1).any()

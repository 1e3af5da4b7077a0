"""Augmentations, one file each."""

from __future__ import annotations

from pcmamba.data.transforms.base import TRANSFORMS, Transform
from pcmamba.data.transforms.clips import AugmentClip
from pcmamba.data.transforms.events import (
    CropTime,
    Denoise,
    DropEvents,
    FlipEvents,
    FlipPolarity,
    ShiftEvents,
    TimeJitter,
)
from pcmamba.data.transforms.first_points import FirstPoints
from pcmamba.data.transforms.flip import Flip
from pcmamba.data.transforms.jitter import Jitter
from pcmamba.data.transforms.normalize import Normalize
from pcmamba.data.transforms.point_dropout import PointDropout
from pcmamba.data.transforms.random_subset import RandomSubset
from pcmamba.data.transforms.rotate import Rotate
from pcmamba.data.transforms.scale import Scale
from pcmamba.data.transforms.shift import Shift

__all__ = [
    "TRANSFORMS",
    "AugmentClip",
    "CropTime",
    "Denoise",
    "DropEvents",
    "FirstPoints",
    "Flip",
    "FlipEvents",
    "FlipPolarity",
    "Jitter",
    "Normalize",
    "PointDropout",
    "RandomSubset",
    "Rotate",
    "Scale",
    "Shift",
    "ShiftEvents",
    "TimeJitter",
    "Transform",
]

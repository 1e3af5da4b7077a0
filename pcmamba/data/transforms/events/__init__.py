"""Augmentations of event recordings, before they are drawn, one file each."""

from pcmamba.data.transforms.events.crop_time import CropTime
from pcmamba.data.transforms.events.denoise import Denoise
from pcmamba.data.transforms.events.drop_events import DropEvents
from pcmamba.data.transforms.events.flip_events import FlipEvents
from pcmamba.data.transforms.events.flip_polarity import FlipPolarity
from pcmamba.data.transforms.events.shift_events import ShiftEvents
from pcmamba.data.transforms.events.time_jitter import TimeJitter

__all__ = [
    "CropTime",
    "Denoise",
    "DropEvents",
    "FlipEvents",
    "FlipPolarity",
    "ShiftEvents",
    "TimeJitter",
]

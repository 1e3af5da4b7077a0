"""A simulator of gestures in front of an event camera, behind the data set `gestures`."""

from __future__ import annotations

from pcmamba.data.gestures.motions import GESTURES, Gesture
from pcmamba.data.gestures.sensor import Sensor
from pcmamba.data.gestures.simulate import simulate

__all__ = ["GESTURES", "Gesture", "Sensor", "simulate"]

"""PCM on event clouds: the events of a recording are points (x, y, t), their polarity a feature.

The network is `pcmamba.models.pcm`; this file adds what it sees of a recording. Events of a moving
edge lie on surfaces in space and time, and the scans follow orders through all three axes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcmamba.models.classifier import Domain
from pcmamba.models.event_cloud_preprocessing import EventCloudPreprocessing
from pcmamba.models.pcm import PCMConfig, PointCloudMamba, pcm_nano, pcm_tiny
from pcmamba.models.registry import MODELS


@dataclass(frozen=True)
class PCMEventsConfig(PCMConfig):
    """Architecture of PCM on events; `in_channels` counts x, y, t and the polarity."""

    in_channels: int = 4

    def build(self) -> PCMEvents:
        """Make the model with fresh weights."""
        return PCMEvents(self)


class PCMEvents(PointCloudMamba):
    """Point Cloud Mamba over events.

    Args:
        config: The architecture.
    """

    domain: ClassVar[Domain] = "events"
    preprocessing: EventCloudPreprocessing  # type: ignore[assignment]

    def default_preprocessing(self) -> EventCloudPreprocessing:  # type: ignore[override]
        """Return the preprocessing for as many events as the configuration has points."""
        return EventCloudPreprocessing(num_events=self.config.num_points)

    def forward_features(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the features of the last stage's points (B, S, C), in their last order.

        Args:
            xyz: (B, N, 3) places of events in space and time.
            features: (B, N, 1) polarities, 1 brighter, -1 darker.

        Raises:
            ValueError: Shapes disagree, or there is no polarity.
        """
        if features is None:
            raise ValueError("features must be the events' polarities (B, N, 1), got None")
        return super().forward_features(xyz, torch.cat([xyz, features], dim=-1))


def _on_events(config: PCMConfig) -> PCMEventsConfig:
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    return PCMEventsConfig(**fields | {"in_channels": 4})


@MODELS.register("pcm_events")
def pcm_events() -> PCMEventsConfig:
    """PCM-Tiny on event clouds."""
    return _on_events(pcm_tiny())


@MODELS.register("pcm_events_nano")
def pcm_events_nano() -> PCMEventsConfig:
    """PCM-Nano on event clouds."""
    return _on_events(pcm_nano())

"""From event recordings to clouds (x, y, t) for the point models, kept with their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class EventCloudPreprocessing:
    """How the events of a recording become points.

    The longer side of the sensor spans -1 to 1, the recording's own time -`time_scale` to
    `time_scale`; y points up. A recording is cut into as many parts of equal numbers of events as
    the cloud has points, and each part gives one event; of a short recording events come twice.

    Args:
        num_events: N, points of a cloud.
        resolution_hw: Sensor that is scaled, pixels; by default the recordings' own.
        time_scale: Half the extent of a recording along the third axis.

    Raises:
        ValueError: A number is out of range.
    """

    kind: ClassVar[str] = "event_cloud"
    domain: ClassVar[str] = "events"

    num_events: int = 1024
    resolution_hw: tuple[int, int] | None = None
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.num_events < 1:
            raise ValueError(f"num_events must be at least 1, got {self.num_events}")
        if not 0 < self.time_scale < float("inf"):
            raise ValueError(f"time_scale must be positive, got {self.time_scale}")
        if self.resolution_hw is not None and min(self.resolution_hw) < 1:
            raise ValueError(f"resolution_hw must be two sides, got {self.resolution_hw}")

    def cloud(
        self,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        p: Tensor,
        offsets: Tensor,
        resolution_hw: tuple[int, int],
        place: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Make the clouds of recordings, each by its own events, whatever the batch.

        Args:
            x: (E,) columns.
            y: (E,) rows, downwards.
            t: (E,) microseconds, not falling within a recording.
            p: (E,) polarities, positive where above 0.
            offsets: (B + 1,) int64 bounds of the recordings, from 0 to E.
            resolution_hw: H and W of the sensor, pixels.
            place: (B, N) where in its part each event is taken, in [0, 1); None takes the middle.

        Returns:
            points: (B, N, 3) float32 in order of time; all 0 where a recording has no events.
            features: (B, N, 1) float32 polarity, 1 brighter, -1 darker, 0 without events.

        Raises:
            ValueError: The sensor is larger than `self.resolution_hw`.
        """
        height, width = self._sensor(resolution_hw)
        rows, has = self._rows(offsets, place)
        if len(t) == 0:
            empty = torch.zeros(*rows.shape, 4, device=offsets.device)
            return empty[..., :3], empty[..., 3:]
        rows = rows.clamp(max=len(t) - 1)  # of an empty recording at the end
        half = max(height, width) / 2
        across = (x[rows].double() + 0.5 - width / 2) / half
        up = (height / 2 - 0.5 - y[rows].double()) / half
        points = torch.stack([across, up, self._times(t, rows, offsets)], dim=-1)
        sign = torch.where(p[rows] > 0, 1.0, -1.0)[..., None]
        seen = has[:, None, None]
        return (points * seen).float(), sign.float() * seen

    def _rows(self, offsets: Tensor, place: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the chosen events (B, N), and whether a recording has any (B,)."""
        sizes = offsets.diff()
        part = torch.arange(self.num_events, dtype=torch.float64, device=offsets.device)
        within = 0.5 if place is None else place.double()
        chosen = (part + within) * sizes[:, None] / self.num_events
        last = (sizes[:, None] - 1).clamp(min=0)
        rows = offsets[:-1, None] + torch.minimum(chosen.long(), last)
        return rows, sizes > 0

    def _times(self, t: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        end = len(t) - 1
        first = t[offsets[:-1].clamp(max=end)].double()[:, None]
        last = t[(offsets[1:] - 1).clamp(min=0)].double()[:, None]
        share = (t[rows].double() - first) / (last - first).clamp(min=1.0)
        return self.time_scale * (2 * share - 1)

    def _sensor(self, resolution_hw: tuple[int, int]) -> tuple[int, int]:
        sensor = self.resolution_hw or resolution_hw
        if resolution_hw[0] > sensor[0] or resolution_hw[1] > sensor[1]:
            raise ValueError(
                f"resolution_hw must fit the sensor {sensor} the model was trained on, got "
                f"{tuple(resolution_hw)}; crop or bin the recording to it first"
            )
        return sensor

"""From event recordings to the clips a model was trained on, kept with its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from pcmamba.ops._events import check_event_values, check_events
from pcmamba.ops.adaptive_frames import adaptive_frames
from pcmamba.ops.draw_events import Background
from pcmamba.ops.draw_frames import draw_frames
from pcmamba.ops.event_histogram import event_histogram
from pcmamba.ops.events_to_voxel_grid import events_to_voxel_grid
from pcmamba.ops.resize_bilinear import resize_bilinear
from pcmamba.ops.slice_events import flat_bounds, frame_bounds
from pcmamba.ops.time_surface import time_surface
from pcmamba.registry import unknown_name

Slicing = Literal["count", "time", "adaptive"]
Representation = Literal["drawn", "histogram", "voxel", "surface"]

_CHANNELS = {"drawn": 3, "histogram": 2, "voxel": 1, "surface": 2}


@dataclass(frozen=True)
class ClipPreprocessing:
    """How recordings are cut into frames and drawn.

    Args:
        num_frames: T, frames of a clip.
        slicing: Frames of equal numbers of events ("count"), of equal time ("time"), or cut where
            the picture changes ("adaptive", as `adaptive_frames`). A voxel grid shares events
            between instants and is not cut.
        representation: "drawn", three channels as `draw_events`; "histogram", two channels of
            counts; "voxel", one channel of `events_to_voxel_grid`, normalised; "surface", two
            channels of `time_surface` at the end of each frame.
        resolution_hw: Canvas the events are drawn on, pixels, its origin the sensor's; by default
            the recordings' own sensor.
        size_hw: Size the frames are resized to, bilinearly; None keeps the canvas.
        patch_size: Sides are then padded to a multiple of it, right and below.
        background: Of drawn frames: "white", 1 where nothing happened, or "black".
        clip: A histogram is cut at `clip` events and divided by it; 0 takes log(1 + events).
        tau: Time constant of a surface, microseconds.
        min_events: Of adaptive frames; see there.
        threshold: Of adaptive frames; see there.

    Raises:
        ValueError: A name is unknown, or a number is out of range.
    """

    kind: ClassVar[str] = "clip"
    domain: ClassVar[str] = "events"

    num_frames: int = 8
    slicing: Slicing = "count"
    representation: Representation = "drawn"
    resolution_hw: tuple[int, int] | None = None
    size_hw: tuple[int, int] | None = (128, 128)
    patch_size: int = 8
    background: Background = "white"
    clip: int = 0
    tau: float = 50_000.0
    min_events: int = 15_000
    threshold: float = 30.0

    def __post_init__(self) -> None:
        for name, choices in (
            ("slicing", Slicing), ("representation", Representation), ("background", Background)
        ):  # fmt: skip
            if getattr(self, name) not in get_args(choices):
                raise ValueError(unknown_name(name, getattr(self, name), get_args(choices)))
        for name, least in (("num_frames", 1), ("patch_size", 1), ("clip", 0), ("min_events", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.tau < math.inf:
            raise ValueError(f"tau must be positive and finite, got {self.tau}")
        if not 0 <= self.threshold < math.inf:
            raise ValueError(f"threshold must be at least 0 and finite, got {self.threshold}")
        for name in ("resolution_hw", "size_hw"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _sides(name, getattr(self, name)))

    @property
    def channels(self) -> int:
        """C, channels of a frame."""
        return _CHANNELS[self.representation]

    @property
    def fill(self) -> float:
        """Value of a pixel without events, and of padding."""
        return 1.0 if self.representation == "drawn" and self.background == "white" else 0.0

    def frame_hw(self, resolution_hw: tuple[int, int]) -> tuple[int, int]:
        """Return H and W of the frames of a sensor with sides `resolution_hw`."""
        height, width = self.size_hw or self.resolution_hw or resolution_hw
        return (-height % self.patch_size + height, -width % self.patch_size + width)

    def frames(
        self,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        p: Tensor,
        offsets: Tensor,
        resolution_hw: tuple[int, int],
    ) -> Tensor:
        """Draw recordings, each the same whatever the batch; one without events is background.

        Values are checked on the CPU only; on a GPU events off the canvas are left out.

        Args:
            x: (E,) integer columns.
            y: (E,) integer rows.
            t: (E,) integer times, microseconds, not falling within a recording.
            p: (E,) polarities, positive where above 0.
            offsets: (B + 1,) int64 bounds of the recordings, from 0 to E.
            resolution_hw: H and W of the sensor, pixels.

        Returns:
            (B, T, C, h, w) float32 on the device of the events.

        Raises:
            TypeError: A column or `offsets` have the wrong dtype.
            ValueError: Shapes disagree, the sensor does not fit the canvas, or (CPU) an event is
                off the canvas or earlier than the one before it.
        """
        canvas = self._canvas(resolution_hw)
        check_events(x, y, t, p, offsets, self.num_frames, canvas)
        check_event_values(x, y, t, offsets, *canvas)
        if self.representation == "drawn":
            images = self._drawn(x, y, t, p, offsets, canvas)
        else:
            draw = {"histogram": self._counted, "voxel": self._voxels, "surface": self._surfaces}
            images = draw[self.representation](x, y, t, p, offsets, canvas)
            images = resize_bilinear(images, self.size_hw or canvas)
        height, width = images.shape[-2:]
        right, below = -width % self.patch_size, -height % self.patch_size
        return F.pad(images, (0, right, 0, below), value=self.fill) if right or below else images

    def _canvas(self, resolution_hw: tuple[int, int]) -> tuple[int, int]:
        canvas = self.resolution_hw or _sides("resolution_hw", resolution_hw)
        if resolution_hw[0] > canvas[0] or resolution_hw[1] > canvas[1]:
            raise ValueError(
                f"resolution_hw must fit the canvas {canvas} the model was trained on, got "
                f"{tuple(resolution_hw)}; crop or bin the recording to it first"
            )
        return canvas

    def _bounds(
        self, x: Tensor, y: Tensor, t: Tensor, p: Tensor, offsets: Tensor, canvas: tuple[int, int]
    ) -> Tensor:
        """Return the bounds (B, T + 1) of the frames among the events."""
        if self.slicing != "adaptive":
            return frame_bounds(t, self.num_frames, by=self.slicing, offsets=offsets)
        return adaptive_frames(
            x, y, p, self.num_frames,
            resolution_hw=canvas, min_events=self.min_events, threshold=self.threshold,
            offsets=offsets,
        )  # fmt: skip

    def _drawn(
        self, x: Tensor, y: Tensor, t: Tensor, p: Tensor, offsets: Tensor, canvas: tuple[int, int]
    ) -> Tensor:
        frames = flat_bounds(self._bounds(x, y, t, p, offsets, canvas))
        images = draw_frames(
            x, y, p, frames,
            resolution_hw=canvas, size_hw=self.size_hw, background=self.background,
        )  # fmt: skip
        return images.unflatten(0, (len(offsets) - 1, self.num_frames))

    def _counted(
        self, x: Tensor, y: Tensor, t: Tensor, p: Tensor, offsets: Tensor, canvas: tuple[int, int]
    ) -> Tensor:
        frames = flat_bounds(self._bounds(x, y, t, p, offsets, canvas))
        counts = event_histogram(x, y, t, p, bins=1, resolution_hw=canvas, offsets=frames)
        counts = counts[:, 0].unflatten(0, (len(offsets) - 1, self.num_frames))
        if self.clip > 0:
            return counts.clamp(max=self.clip) / self.clip
        # Of each number that may occur, in float64, so that devices round alike to float32.
        table = torch.arange(1, len(t) + 2, dtype=torch.float64, device=t.device).log().float()
        return table[counts]

    def _voxels(
        self, x: Tensor, y: Tensor, t: Tensor, p: Tensor, offsets: Tensor, canvas: tuple[int, int]
    ) -> Tensor:
        grid = events_to_voxel_grid(
            x, y, t, p,
            bins=self.num_frames, resolution_hw=canvas, offsets=offsets, normalize=True,
        )  # fmt: skip
        return grid[:, :, None]

    def _surfaces(
        self, x: Tensor, y: Tensor, t: Tensor, p: Tensor, offsets: Tensor, canvas: tuple[int, int]
    ) -> Tensor:
        if self.slicing != "adaptive":
            return time_surface(
                x, y, t, p, resolution_hw=canvas, bins=self.num_frames, split=self.slicing,
                tau=self.tau, offsets=offsets,
            )  # fmt: skip
        bounds = self._bounds(x, y, t, p, offsets, canvas)
        # Frames before the first event end with it, those of a recording without any at 0.
        last = torch.maximum(bounds[:, 1:] - 1, bounds[:, :1])
        times = torch.cat([t.long(), t.new_zeros(1, dtype=torch.int64)])
        at = torch.where(offsets.diff()[:, None] > 0, times[last], 0)
        return time_surface(x, y, t, p, resolution_hw=canvas, at=at, tau=self.tau, offsets=offsets)


def _sides(name: str, sides: tuple[int, int]) -> tuple[int, int]:
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{name} must be two positive sides, got {tuple(sides)}")
    return int(sides[0]), int(sides[1])

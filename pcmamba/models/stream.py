"""A model that watches: events in, as they come, and a prediction after every whole frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pcmamba.models.clip_preprocessing import ClipPreprocessing
from pcmamba.models.spikmamba import SpikMamba, SpikMambaState

FRAME_US = 50_000
FRAMEWISE = ("drawn", "histogram")
COLUMNS = ("x", "y", "t", "p")

_Columns = dict[str, np.ndarray]


class EventColumns(Protocol):
    """A piece of a recording: columns x, y, t, p (E,) with t in microseconds, never falling.

    Where the object also has `t0`, microseconds taken off its times, it is added again: pieces of
    one recording then follow each other.
    """

    @property
    def x(self) -> np.ndarray:
        """Columns of the sensor."""

    @property
    def y(self) -> np.ndarray:
        """Rows of the sensor."""

    @property
    def t(self) -> np.ndarray:
        """Times, microseconds."""

    @property
    def p(self) -> np.ndarray:
        """Polarities."""

    @property
    def resolution_hw(self) -> tuple[int, int]:
        """H and W of the sensor."""


@dataclasses.dataclass(frozen=True)
class StreamPrediction:
    """What a stream takes its recording for so far.

    Attributes:
        class_names: Names of the classes.
        probabilities: Of each class, from all frames so far: what the whole recording in one call
            gives after as many frames.
        recent: Of each class, from the frames since the model's clip last began anew.
        frames: Whole frames seen.
        end_us: Time at which the last of them ended; where frames are counted in events, the time
            of its last event.
    """

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]
    recent: tuple[float, ...]
    frames: int
    end_us: int

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.class_names[self.probabilities.index(max(self.probabilities))]


class ClipStream:
    """Classify a recording while it comes in, in pieces of any size.

    Events wait until their frame is whole; then it is drawn as in training and given to the model,
    which carries membranes and scan states from frame to frame. Time for an event and memory do
    not grow with the recording. Frames are cut by time or by count of events, since equal parts of
    a recording are not known before its end: train with frames of about that length.

    Args:
        model: A model whose scan runs online; put into evaluation mode.
        frame_us: Length of a frame in microseconds, from the first event on; frames without
            events count. By default 50,000 where `frame_events` is not given.
        frame_events: Events of a frame, instead.

    Raises:
        NotImplementedError: The model's scan, order or representation needs the whole recording.
        ValueError: A length is below 1, or both are given.
    """

    def __init__(
        self, model: SpikMamba, *, frame_us: int | None = None, frame_events: int | None = None
    ) -> None:
        if frame_us is not None and frame_events is not None:
            raise ValueError("frame_us or frame_events must be given, got both")
        for name, value in (("frame_us", frame_us), ("frame_events", frame_events)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        model.check_online()
        self.model = model.eval()
        self.preprocessing = _framewise(model.preprocessing)
        self.frame_events = frame_events
        self.frame_us = FRAME_US if frame_us is None else frame_us
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next event begins a recording."""
        self._held: _Columns | None = None
        self._resolution: tuple[int, int] | None = None
        self._begin_us = 0
        self._state: SpikMambaState | None = None
        self._clip: tuple[Tensor | None, int] = (None, 0)
        self._found: StreamPrediction | None = None

    @property
    def held_events(self) -> int:
        """Events that wait for their frame to be whole."""
        return 0 if self._held is None else len(self._held["t"])

    def push(self, events: EventColumns) -> StreamPrediction | None:
        """Take the next piece of the recording; None as long as no frame is whole.

        Raises:
            ValueError: The piece begins before the one before it ended, or has another resolution.
        """
        self._take(events)
        return self._advance(final=False)

    def finish(self) -> StreamPrediction | None:
        """Take the frame that is not whole for whole: the recording is over."""
        return self._advance(final=True)

    def frames(self, events: EventColumns) -> Tensor:
        """Return the frames (1, F, C, H, W) that pieces of `events` and `finish` would make."""
        other = ClipStream(self.model, **self._rule())
        other._take(events)
        parts = [frames for frames, _ in other._whole_frames(final=True)]
        if not parts:
            raise ValueError("events must not be empty, got none")
        return torch.cat(parts, dim=1)

    def _rule(self) -> dict[str, int | None]:
        if self.frame_events is not None:
            return {"frame_events": self.frame_events}
        return {"frame_us": self.frame_us}

    def _take(self, events: EventColumns) -> None:
        height, width = events.resolution_hw
        if self._resolution not in (None, (height, width)):
            raise ValueError(
                f"resolution_hw must stay {self._resolution}, got {events.resolution_hw}; "
                "reset() begins another recording"
            )
        if not len(events.t):
            return
        new = {name: getattr(events, name) for name in COLUMNS}
        new["t"] = new["t"].astype(np.int64) + getattr(events, "t0", 0)
        held = self._held
        if held is None:
            self._begin_us = int(new["t"][0])
            self._last_us = self._begin_us
            self._held = new
        else:
            self._held = {name: np.concatenate([held[name], new[name]]) for name in new}
        if new["t"][0] < self._last_us:
            self._held = held
            raise ValueError(
                f"events must not begin before the last piece's end at {self._last_us} us, "
                f"got {int(new['t'][0])} us"
            )
        self._resolution, self._last_us = (height, width), int(new["t"][-1])

    def _advance(self, final: bool) -> StreamPrediction | None:
        ended = None
        for frames, end_us in self._whole_frames(final):
            with torch.no_grad():
                if self._place() == 0:
                    before = self._state
                    self._clip = (None, 0) if before is None else (before.pooled, before.frames)
                _, self._state = self.model(frames, self._state, True)
            ended = end_us
        if ended is not None:
            self._found = self._prediction(ended)
        return self._found

    def _place(self) -> int:
        return 0 if self._state is None else self._state.frames % self.model.config.num_frames

    def _whole_frames(self, final: bool) -> Iterator[tuple[Tensor, int]]:
        """Draw what is whole, at most to the end of a clip at a time, and drop its events."""
        if self._held is None:
            return
        bounds, ends = self._bounds(final)
        place, first = self._place(), 0
        while first < len(ends):
            last = min(len(ends), first + self.model.config.num_frames - place)
            yield self._draw(bounds[first : last + 1]), int(ends[last - 1])
            first, place = last, 0
        kept = slice(int(bounds[-1]), None)
        self._held = {name: column[kept].copy() for name, column in self._held.items()}
        if self.frame_events is None:
            self._begin_us += len(ends) * self.frame_us

    def _bounds(self, final: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the first event of each whole frame, with the end of the last, and their ends."""
        assert self._held is not None
        t = self._held["t"]
        if self.frame_events is not None:
            count = len(t) // self.frame_events
            bounds = np.arange(count + 1) * self.frame_events
            ends = t[bounds[1:] - 1]
        else:
            count = (self._last_us - self._begin_us) // self.frame_us
            ends = self._begin_us + np.arange(1, count + 1) * self.frame_us
            bounds = np.concatenate([[0], np.searchsorted(t, ends)])
        if final and bounds[-1] < len(t):
            bounds, ends = np.append(bounds, len(t)), np.append(ends, t[-1])
        return bounds, ends

    def _draw(self, bounds: np.ndarray) -> Tensor:
        assert self._held is not None and self._resolution is not None
        part = slice(int(bounds[0]), int(bounds[-1]))
        x, y, t, p = (torch.from_numpy(self._held[name][part].copy()) for name in COLUMNS)
        offsets = torch.from_numpy(bounds - bounds[0])
        drawn = self.preprocessing.frames(x, y, t, p, offsets, self._resolution)
        return drawn.transpose(0, 1).to(self.model.head.weight.device)

    def _prediction(self, end_us: int) -> StreamPrediction:
        state = self._state
        assert state is not None
        base, frames = self._clip
        recent = state.pooled if base is None else state.pooled - base
        return StreamPrediction(
            tuple(self.model.class_names),
            self._probabilities(state.pooled / state.frames),
            self._probabilities(recent / (state.frames - frames)),
            state.frames,
            end_us,
        )

    @torch.no_grad()
    def _probabilities(self, pooled: Tensor) -> tuple[float, ...]:
        logits = self.model.head(pooled.to(self.model.head.weight.dtype))
        return tuple(logits[0].double().softmax(dim=0).tolist())


def _framewise(preprocessing: ClipPreprocessing) -> ClipPreprocessing:
    """Return the preprocessing of recordings that are one frame each."""
    if preprocessing.representation not in FRAMEWISE:
        raise NotImplementedError(
            f"representation must be {' or '.join(FRAMEWISE)} to be streamed, got "
            f"{preprocessing.representation!r}, whose frames depend on the rest of the recording"
        )
    return dataclasses.replace(preprocessing, num_frames=1, slicing="time")

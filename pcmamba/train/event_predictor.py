"""Ask a trained model what happens in a recording of an event camera."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pcmamba.data.batch import Draw
from pcmamba.data.event_set import EventSet
from pcmamba.data.events import Events
from pcmamba.data.readers.events import read_events
from pcmamba.models import Classifier
from pcmamba.models.spikmamba import SpikMamba
from pcmamba.nn.spike_trains import spike_trains
from pcmamba.train.graph import GraphedForward
from pcmamba.train.inputs import evaluation_transforms, in_words
from pcmamba.train.prediction import Prediction, best_classes

if TYPE_CHECKING:
    from pcmamba.models.stream import ClipStream

Recording: TypeAlias = str | os.PathLike[str] | Events


class EventPredictor:
    """A trained model that answers for recordings of events; made by `pcmamba.load`.

    Args:
        model: Put into evaluation mode; runs where its parameters are.
    """

    def __init__(self, model: Classifier) -> None:
        self.model = model.eval()
        self._forward = GraphedForward(model)
        self._transforms = evaluation_transforms(model.preprocessing)

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return next(self.model.parameters()).device

    def predict(self, recording: Recording, *, top: int = 5, **reading: Any) -> Prediction:
        """Classify a whole recording of any length; no label is needed.

        Args:
            recording: File in a format of `read_events`, or events.
            top: Most classes named.
            **reading: `order`, `t_unit`, `resolution_hw` and `camera` of `read_events`, where the
                file does not tell.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file holds no readable events, the sensor is larger than the one the
                model was trained on, or `top` is below 1.
        """
        return self._answer(open_recording(recording, **reading), top)

    def predict_windows(
        self, recording: Recording, window_us: int, *, top: int = 5, **reading: Any
    ) -> list[Prediction]:
        """Classify a recording window by window; windows do not overlap, the last may be shorter.

        Args:
            recording: See `predict`.
            window_us: Length of a window, microseconds; as long as the recordings trained on.
            top: See `predict`.
            **reading: See `predict`.

        Returns:
            One prediction for each window, in order; its note begins with the time.

        Raises:
            ValueError: As `predict`, or `window_us` is below 1.
        """
        if window_us < 1:
            raise ValueError(f"window_us must be at least 1, got {window_us}")
        events = open_recording(recording, **reading)
        return [
            self._answer(part, top, f"from {start / 1e6:.2f} s: ")
            for start, part in pieces(events, window_us)
        ]

    def stream(self, *, frame_us: int | None = None, frame_events: int | None = None) -> ClipStream:
        """Return a stream: `push` pieces of a recording, get the prediction so far.

        Args:
            frame_us: Length of a frame, microseconds; see `ClipStream`.
            frame_events: Events of a frame, instead.

        Raises:
            NotImplementedError: The model needs the whole recording.
        """
        if not isinstance(self.model, SpikMamba):
            raise NotImplementedError(
                f"stream needs a spikmamba model, got {self.model.name}, which gathers events of "
                "the whole recording; predict_windows answers piece by piece"
            )
        from pcmamba.models.stream import ClipStream

        return ClipStream(self.model, frame_us=frame_us, frame_events=frame_events)

    def spikes(self, recording: Recording, **reading: Any) -> dict[str, np.ndarray]:
        """Return what the neurons of a spiking model do on a whole recording.

        Args:
            recording: See `predict`.
            **reading: See `predict`.

        Returns:
            For each layer of neurons by its name (T, 1, …) bool: who fired in which frame.

        Raises:
            ValueError: As `predict`, or the model has no neurons.
        """
        events = open_recording(recording, **reading)
        trains = spike_trains(self.model, *self.prepare(events).inputs)
        return {name.removesuffix(".neuron"): fired.cpu().numpy() for name, fired in trains.items()}

    def prepare(self, events: Events) -> Any:
        """Return the batch of one recording as the model is called with it."""
        made = EventSet.from_recordings(
            [events], [0], class_names=tuple(self.model.class_names), ids=("",), name="recording",
            split="", resolution_hw=events.resolution_hw,
        )  # fmt: skip
        batch: Any = made.to(self.device).batch(
            torch.zeros(1, dtype=torch.int64, device=self.device)
        )
        for transform in self._transforms:
            batch = transform(batch, Draw(0, 0))
        return batch

    def _answer(self, events: Events, top: int, said: str = "") -> Prediction:
        probabilities = self._probabilities(events)
        names, shares = best_classes(self.model, probabilities, top)
        seen = f"{len(events):,} events in {events.duration / 1e6:.2f} s"
        note = f"{said}{seen}; {in_words(self.model.preprocessing)}"
        return Prediction(
            names, shares, len(events), "; ".join([note, *events.notes]), events.source, "events"
        )

    def _probabilities(self, events: Events) -> Tensor:
        logits = self._forward(*self.prepare(events).inputs)
        return logits[0].double().softmax(dim=0).cpu()


def open_recording(recording: Recording, **reading: Any) -> Events:
    """Read a recording from a file, or take the events as they are."""
    if not isinstance(recording, Events):
        return read_events(recording, **reading)
    given = [name for name, value in reading.items() if value is not None]
    if given:
        raise ValueError(f"{given[0]} must not be given for events that are read already")
    return recording


def pieces(events: Events, length_us: int) -> Iterator[tuple[int, Events]]:
    """Yield begin, microseconds, and events of each piece of a recording, the last one shorter.

    Pieces without events come too. A recording without events is one piece.
    """
    for start in range(0, events.duration + 1, length_us):
        yield start, events.between(start, start + length_us)

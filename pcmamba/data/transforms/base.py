"""What a transform is, and the names they go by in recipes."""

from __future__ import annotations

from typing import Any, Protocol

from pcmamba.data.batch import Draw
from pcmamba.registry import Registry


class Transform(Protocol):
    """Map a batch to a new batch on the same device.

    Implementations are frozen dataclasses and never write to their input. A random one has a
    field `stream`, the name its draws are keyed by beside seed, epoch and dataset index; so what
    happens to a cloud depends neither on its batch nor on the device. One used twice in a row
    needs a second name. The annotation of `batch` says what it acts on: clouds, events or clips.
    """

    def __call__(self, batch: Any, draw: Draw) -> Any:
        """Return the transformed batch."""
        ...


TRANSFORMS: Registry[Any] = Registry("transform")

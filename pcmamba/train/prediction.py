"""What a model takes a cloud or a recording for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pcmamba.models import Classifier


@dataclass(frozen=True)
class Prediction:
    """What a model takes a cloud or a recording for.

    Attributes:
        class_names: Most probable classes, best first.
        probabilities: Of those classes, out of all classes.
        num_points: Points or events that the model saw.
        note: What was done to the cloud or recording, in words.
        source: The file, or "" for what was given directly.
        unit: What was counted, in words.
    """

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]
    num_points: int
    note: str
    source: str = ""
    unit: str = "points"

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.class_names[0]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "source": self.source,
            "classes": [
                {"name": name, "probability": p}
                for name, p in zip(self.class_names, self.probabilities, strict=True)
            ],
            f"num_{self.unit}": self.num_points,
            "note": self.note,
        }

    def __str__(self) -> str:
        shown = zip(self.class_names, self.probabilities, strict=True)
        return ", ".join(f"{name} {p:.1%}" for name, p in shown)


def best_classes(
    model: Classifier, probabilities: Tensor, top: int
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return names and probabilities of the `top` most probable classes, best first.

    Raises:
        ValueError: `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    values, classes = probabilities.sort(descending=True, stable=True)
    names = tuple(model.class_names[i] for i in classes[:top].tolist())
    return names, tuple(values[:top].tolist())

"""What a model said about every sample of a set, and the files that keep it."""

from __future__ import annotations

import csv
import functools
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcmamba.train.metrics import count_confusion

TABLE, ARRAYS = "predictions.csv", "predictions.npz"
COLUMNS = ("id", "label", "prediction", "right", "confidence", "label_probability", "loss")


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's answers, in the order of the set.

    Attributes:
        ids: S names of samples.
        labels: (S,) int64 true classes.
        logits: (S, K) float32, the mean over the views.
        class_names: K names.
    """

    ids: tuple[str, ...]
    labels: Tensor
    logits: Tensor
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """(S,) int64 most probable classes."""
        return self.logits.argmax(dim=1)

    @functools.cached_property
    def log_probabilities(self) -> Tensor:
        """(S, K) float64, natural logarithms."""
        return self.logits.double().log_softmax(dim=1)

    @property
    def confidence(self) -> Tensor:
        """(S,) float64 probability of the most probable class."""
        return self.log_probabilities.amax(dim=1).exp()

    @property
    def loss(self) -> Tensor:
        """(S,) float64 cross-entropy without smoothing: minus the label's log-probability."""
        return -self.log_probabilities.gather(1, self.labels[:, None]).squeeze(1)

    @property
    def confusion(self) -> Tensor:
        """(K true, K predicted) int64 counts."""
        return count_confusion(self.predicted, self.labels, len(self.class_names))

    def top(self, sample: int, count: int) -> list[tuple[int, float]]:
        """Return the `count` most probable classes of a sample with their probabilities."""
        values, classes = self.log_probabilities[sample].sort(descending=True, stable=True)
        pairs = zip(classes.tolist(), values.exp().tolist(), strict=True)
        return list(pairs)[:count]

    def hardest(self, count: int) -> list[int]:
        """Return the samples with the highest loss, highest first."""
        return self.loss.sort(descending=True, stable=True).indices[:count].tolist()

    def mistakes(self, count: int) -> list[int]:
        """Return the samples taken for a wrong class, the most confident first."""
        wrong = (self.predicted != self.labels).nonzero().squeeze(1)
        order = self.confidence[wrong].sort(descending=True, stable=True).indices
        return wrong[order][:count].tolist()

    def save(self, folder: Path) -> list[Path]:
        """Write `predictions.csv`, one line a sample, and `predictions.npz` with every class."""
        table, arrays = folder / TABLE, folder / ARRAYS
        _replace(table, self._csv().encode())
        content = io.BytesIO()
        np.savez_compressed(
            content,
            ids=np.array(self.ids, dtype=np.str_),
            labels=self.labels.numpy(),
            logits=self.logits.numpy(),
            class_names=np.array(self.class_names, dtype=np.str_),
        )
        _replace(arrays, content.getvalue())
        return [table, arrays]

    def _csv(self) -> str:
        text, names = io.StringIO(newline=""), self.class_names
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        columns = zip(
            self.ids,
            self.labels.tolist(),
            self.predicted.tolist(),
            self.confidence.tolist(),
            self.loss.tolist(),
            strict=True,
        )
        for name, label, taken, confidence, loss in columns:
            own = f"{np.exp(-loss):.6g}"
            figures = (int(label == taken), f"{confidence:.6g}", own, f"{loss:.6g}")
            writer.writerow((name, names[label], names[taken], *figures))
        return text.getvalue()


def read_predictions(folder: Path) -> Predictions | None:
    """Read what `Predictions.save` wrote, None if there is nothing.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    path = folder / ARRAYS
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Predictions(
                tuple(arrays["ids"].tolist()),
                torch.from_numpy(arrays["labels"]),
                torch.from_numpy(arrays["logits"]),
                tuple(arrays["class_names"].tolist()),
            )
    except Exception as error:  # zip, NumPy and missing entries each raise their own
        raise ValueError(f"{path} must be written by an evaluation, got {error}") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)

"""Accuracies from a confusion matrix, and the file of a run's metrics."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import torch
from torch import Tensor

COLUMNS = (
    "epoch",
    "step",
    "seconds",
    "samples_per_second",
    "lr",
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "val/mean_class_accuracy",
)


def accuracies(confusion: Tensor) -> tuple[float, float]:
    """Return (overall, mean-class) accuracy in [0, 1] of a matrix (K true, K predicted) of counts.

    Overall is right answers over clouds; mean-class is the mean over the classes that occur of
    their recall. NaN where nothing was counted.
    """
    right, total = confusion.diagonal().double(), confusion.sum(dim=1).double()
    present = total > 0
    return (
        float(right.sum() / total.sum()),
        float((right[present] / total[present]).mean()),
    )


def class_recalls(confusion: Tensor) -> list[float | None]:
    """Return the recall of each class, None for one that does not occur."""
    right, total = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    return [r / t if t else None for r, t in zip(right, total, strict=True)]


def count_confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count int64 (K true, K predicted)."""
    flat = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


class MetricsFile:
    """`metrics.csv`: one row an epoch, appended; a resumed run first drops what it will redo.

    Args:
        path: The file; made when the first row comes.
        epochs_done: Rows of later epochs are dropped.
    """

    def __init__(self, path: Path, epochs_done: int) -> None:
        self.path = path
        kept = [row for row in read_metrics(path) if int(row["epoch"]) <= epochs_done]
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        os.replace(temporary, path)

    def append(self, row: dict[str, float]) -> None:
        """Add the row of an epoch; columns that are not given stay empty."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Read the rows of a `metrics.csv`, none if there is no file.

    A last line that a crash cut short is left out.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and row["epoch"]]

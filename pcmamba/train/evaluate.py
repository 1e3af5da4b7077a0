"""Evaluation of a classifier on a labelled set, with its protocol in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcmamba.data.batch import Draw, ModelBatch
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.transforms import Scale, Transform
from pcmamba.models import Classifier
from pcmamba.train.datamodule import evaluation_loader
from pcmamba.train.domain import check_domain
from pcmamba.train.graph import GraphedForward
from pcmamba.train.inputs import in_words
from pcmamba.train.metrics import accuracies, class_recalls
from pcmamba.train.predictions import Predictions, read_predictions
from pcmamba.viz.confusion import save_confusion_png

EVALUATION = "evaluation.json"
VOTE_SCALE = (0.8, 1.2)


@dataclass(frozen=True)
class Report:
    """Result of an evaluation.

    Attributes:
        overall_accuracy: Right answers over clouds, in [0, 1].
        mean_class_accuracy: Mean over the classes that occur of their recall, in [0, 1].
        class_names: In the order of the labels.
        class_accuracies: Recall of each class, None for one without clouds.
        confusion: Counts (K true, K predicted), rows in the order of `class_names`.
        protocol: How the numbers came about, in words.
        predictions: The answer to every sample.
        unit: What was counted, in words.
    """

    overall_accuracy: float
    mean_class_accuracy: float
    class_names: tuple[str, ...]
    class_accuracies: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    protocol: str
    predictions: Predictions = field(repr=False, compare=False)
    unit: str = "clouds"

    def summary(self) -> dict[str, Any]:
        """Return the figures without the matrix, for JSON."""
        return {
            "overall_accuracy": self.overall_accuracy,
            "mean_class_accuracy": self.mean_class_accuracy,
            self.unit: sum(map(sum, self.confusion)),
            "classes": dict(zip(self.class_names, self.class_accuracies, strict=True)),
            "protocol": self.protocol,
        }

    def table(self) -> str:
        """Return the per-class table as text: class, count, accuracy, commonest mistake."""
        width, column = max(len(name) for name in self.class_names), len(self.unit)
        lines = [f"{'class':<{width}}  {self.unit}  accuracy  most often taken for"]
        for i, name in enumerate(self.class_names):
            row = self.confusion[i]
            accuracy = self.class_accuracies[i]
            wrong = max((n, self.class_names[j]) for j, n in enumerate(row) if j != i)
            shown = "       -" if accuracy is None else f"{accuracy:8.1%}"
            mistake = f"{wrong[1]} ({wrong[0]})" if wrong[0] else ""
            lines.append(f"{name:<{width}}  {sum(row):{column}d}  {shown}  {mistake}".rstrip())
        return "\n".join(lines)

    def save(self, folder: Path, picture: bool = True) -> list[Path]:
        """Write `evaluation.json`, `predictions.csv` and `.npz`, then, if wanted, `confusion.png`.

        Returns:
            The paths of the files.

        Raises:
            ImportError: A picture is wanted and matplotlib is missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / EVALUATION]
        content = {**self.summary(), "confusion": [list(row) for row in self.confusion]}
        paths[0].write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        paths += self.predictions.save(folder)
        if picture:
            paths.append(folder / "confusion.png")
            save_confusion_png(paths[-1], self.confusion, self.class_names)
        return paths


@torch.no_grad()
def evaluate(
    model: Classifier,
    data_set: LabelledSet,
    *,
    batch_size: int = 64,
    votes: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Classify every cloud or recording of a set and compare with its labels.

    One view of a cloud: its first points, as many as the model was trained on, normalised, in
    float32. With votes, logits are averaged over that view and `votes` copies of it, each scaled
    per axis by U(0.8, 1.2). A recording of events has one view, drawn or gathered as in training.

    Args:
        model: In any mode; left in the mode it was in. Runs where its parameters are.
        data_set: Its class names must be the model's.
        batch_size: Clouds or recordings at a time.
        votes: Further views; 0 for the plain protocol.
        seed: Of the votes' scales.
        progress: Called with how many are done and their total.

    Raises:
        ValueError: The model takes recordings of another domain, the classes differ, or `votes` is
            negative or not 0 for events.
    """
    _check(model, data_set, votes)
    device = next(model.parameters()).device
    loader = evaluation_loader(data_set, model.preprocessing, batch_size, device)
    logits: list[Tensor] = []
    training, done = model.training, 0
    forward = GraphedForward(model.eval())
    try:
        for batch in loader:
            logits.append(_vote(forward, batch, votes, seed))
            done += len(batch)
            if progress is not None:
                progress(done, len(data_set.labels))
    finally:
        model.train(training)
    return make_report(torch.cat(logits) / (1 + votes), model, data_set, votes)


def _check(model: Classifier, data_set: LabelledSet, votes: int) -> None:
    if votes < 0:
        raise ValueError(f"votes must not be negative, got {votes}")
    check_domain(model.name, model.domain, data_set.name, data_set.domain)
    if votes and model.domain != "clouds":
        raise ValueError(f"votes must be 0 for a model of {model.domain}, got {votes}")
    if tuple(model.class_names) != tuple(data_set.class_names):
        raise ValueError(
            f"data_set must have the model's {len(model.class_names)} classes "
            f"({', '.join(model.class_names[:5])}, …), got {len(data_set.class_names)} classes "
            f"({', '.join(data_set.class_names[:5])}, …); choose the data set it was trained on"
        )


def _vote(forward: GraphedForward, batch: ModelBatch, votes: int, seed: int) -> Tensor:
    scale: Transform = Scale(*VOTE_SCALE, stream="vote")
    logits = forward(*batch.inputs).float()
    for vote in range(votes):
        # Each vote scales the original; the model takes its features from the coordinates.
        view = scale(batch, Draw(seed, vote))
        logits = logits + forward(*view.inputs).float()
    return logits


def make_report(logits: Tensor, model: Classifier, data_set: LabelledSet, votes: int) -> Report:
    """Turn logits (S, K), in the order of the set, into a report that says how they came about."""
    found = Predictions(
        tuple(data_set.ids), data_set.labels.cpu(), logits.cpu(), tuple(model.class_names)
    )
    kind = "synthetic " if data_set.synthetic and "synthetic" not in data_set.name else ""
    views = (
        f"{votes} votes: logits averaged over one view and {votes} randomly scaled copies"
        if votes
        else "one view, no voting"
    )
    return count_up(
        found,
        f"{kind}{data_set.name}, {data_set.split} split, {len(data_set.labels)} "
        f"{data_set.unit}, {in_words(model.preprocessing)}, float32, {views}",
        data_set.unit,
    )


def count_up(predictions: Predictions, protocol: str, unit: str = "clouds") -> Report:
    """Return the figures of predictions that came about as `protocol` says."""
    confusion = predictions.confusion
    overall, mean_class = accuracies(confusion)
    return Report(
        overall_accuracy=overall,
        mean_class_accuracy=mean_class,
        class_names=predictions.class_names,
        class_accuracies=tuple(class_recalls(confusion)),
        confusion=tuple(map(tuple, confusion.tolist())),
        protocol=protocol,
        predictions=predictions,
        unit=unit,
    )


def read_report(folder: Path) -> Report | None:
    """Read the evaluation that `Report.save` wrote into a folder.

    Returns:
        The report; None if there is none, or one without predictions, as earlier versions wrote.

    Raises:
        ValueError: A file is damaged.
    """
    predictions, path = read_predictions(folder), folder / EVALUATION
    if predictions is None or not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    unit = next(unit for unit in ("clouds", "recordings") if unit in stored)
    return count_up(predictions, stored["protocol"], unit)

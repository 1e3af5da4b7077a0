"""An evaluation's part of a report: figures, classes, confidence and the hardest samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pcmamba.train.evaluate import Report
from pcmamba.train.predictions import Predictions
from pcmamba.train.statistics import BINS, calibration_error, wilson
from pcmamba.viz.report_page import Bin, Cell, ClassRow, Fact, Guess, Sample

SHOWN = 12  # samples of each order, highest loss and most confident mistakes
GUESSES = 3


def evaluation_facts(report: Report) -> Iterator[Fact]:
    """Yield the figures of an evaluation."""
    found = report.predictions
    low, high = wilson(int((found.predicted == found.labels).sum()), len(found))
    wide = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %, by the number of samples alone"
    yield Fact("Overall accuracy", percent(report.overall_accuracy), wide)
    yield Fact(
        "Mean-class accuracy", percent(report.mean_class_accuracy), "each class counts alike"
    )
    top = found.logits.topk(min(5, found.logits.shape[1]), dim=1).indices
    among = float((top == found.labels[:, None]).any(dim=1).double().mean())
    if found.logits.shape[1] > 5:
        yield Fact("Among the first five", percent(among), "the true class")
    yield Fact("Mean loss", f"{found.loss.mean():.3f}", "cross-entropy without smoothing, nats")
    yield Fact(
        "Calibration error", percent(calibration_error(found)), "confidence against accuracy"
    )
    yield Fact("Samples", f"{len(found):,}", f"{len(found.class_names)} classes")


def evaluation_parts(report: Report) -> dict[str, Any]:
    """Return the classes, the confusion matrix and the accuracy by confidence of a report."""
    counts = report.confusion
    shares = [[Cell(n, n / max(sum(row), 1)) for n in row] for row in counts]
    return {
        "classes": _class_rows(report.predictions),
        "confusion": shares,
        "bins": confidence_bins(report.predictions),
    }


def _class_rows(found: Predictions) -> list[ClassRow]:
    counts, names = found.confusion, found.class_names
    own = (-found.loss).exp()
    rows = []
    for k, name in enumerate(names):
        true, taken, right = int(counts[k].sum()), int(counts[:, k].sum()), int(counts[k, k])
        wrong = counts[k].clone()
        wrong[k] = 0
        worst, often = int(wrong.argmax()), int(wrong.max())
        rows.append(
            ClassRow(
                name,
                true,
                right / true if true else None,
                right / taken if taken else None,
                float(own[found.labels == k].mean()) if true else None,
                f"{names[worst]} ({often})" if often else "",
                often,
            )
        )
    return rows


def confidence_bins(found: Predictions) -> list[Bin]:
    """Return the accuracy of the answers in each tenth of confidence that has any."""
    place = (found.confidence * BINS).long().clamp(max=BINS - 1)
    right = found.predicted == found.labels
    bins = []
    for b in range(BINS):
        among = right[place == b]
        if len(among):
            bins.append(Bin(b / BINS, (b + 1) / BINS, len(among), float(among.double().mean())))
    return bins


def hardest_samples(found: Predictions, picture: Callable[[int], str] | None) -> list[Sample]:
    """Return the hardest samples and the most confident mistakes, the highest loss first."""
    chosen = {*found.hardest(SHOWN), *found.mistakes(SHOWN)}
    order = sorted(chosen, key=lambda i: -float(found.loss[i]))
    return [_sample(found, i, "" if picture is None else picture(i)) for i in order]


def _sample(found: Predictions, index: int, picture: str) -> Sample:
    names, true = found.class_names, int(found.labels[index])
    best = found.top(index, len(names))
    shown = best[:GUESSES] + [pair for pair in best[GUESSES:] if pair[0] == true]
    return Sample(
        name=found.ids[index],
        picture=picture,
        truth=names[true],
        prediction=names[int(found.predicted[index])],
        confidence=float(found.confidence[index]),
        loss=float(found.loss[index]),
        guesses=tuple(Guess(names[k], p, k == true) for k, p in shown),
    )


def percent(share: float) -> str:
    """Write a share with two decimals."""
    return f"{100 * share:.2f} %"

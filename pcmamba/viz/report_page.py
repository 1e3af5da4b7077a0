"""A report of an evaluation or a run as one HTML page: what it shows, and writing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcmamba.viz.html_page import write_page
from pcmamba.viz.line_chart import LineChart


@dataclass(frozen=True)
class Fact:
    """A figure of the summary.

    Attributes:
        name: What it is.
        value: The figure.
        note: What to know about it, or "".
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ClassRow:
    """A line of the table of classes.

    Attributes:
        name: The class.
        samples: How many are truly of it.
        recall: Share of those that were recognised, None without any.
        precision: Share that is truly of it of what was taken for it, None without any.
        confidence: Mean probability that its samples got for it, None without any.
        mistake: What its samples are most often taken for, with the count, or "".
        mistaken: That count.
    """

    name: str
    samples: int
    recall: float | None
    precision: float | None
    confidence: float | None
    mistake: str
    mistaken: int


@dataclass(frozen=True)
class Cell:
    """A field of the confusion matrix: a count, and its share of the true class."""

    count: int
    share: float


@dataclass(frozen=True)
class Bin:
    """Samples answered with a confidence between `low` and `high`.

    Attributes:
        low: From this confidence on.
        high: Up to this one.
        samples: How many.
        accuracy: Share of right answers, None without samples.
    """

    low: float
    high: float
    samples: int
    accuracy: float | None


@dataclass(frozen=True)
class Guess:
    """A class that a sample may be of: its name, its probability, and whether it is the truth."""

    name: str
    probability: float
    true: bool


@dataclass(frozen=True)
class Sample:
    """A sample shown with its picture.

    Attributes:
        name: Its name in the set.
        picture: Address that carries a PNG, or "".
        truth: Its class.
        prediction: What it was taken for.
        confidence: Probability of that.
        loss: Minus the natural logarithm of the truth's probability.
        guesses: The most probable classes, and the truth.
    """

    name: str
    picture: str
    truth: str
    prediction: str
    confidence: float
    loss: float
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class File:
    """A file beside the page: its name from there, its bytes, and what it holds."""

    name: str
    bytes: int
    holds: str


@dataclass(frozen=True)
class ReportPage:
    """All that a report shows; empty parts are left out.

    Attributes:
        title: Of the page.
        protocol: How the figures came about, in words.
        facts: The summary.
        notes: What to know, in sentences.
        charts: Curves.
        classes: One line a class.
        confusion: Fields, true classes down and predicted across, in the order of `classes`.
        bins: Accuracy by confidence.
        samples: The hardest ones.
        configuration: Titles and texts.
        versions: Names and values.
        files: What lies beside the page.
    """

    title: str
    protocol: str
    facts: Sequence[Fact] = ()
    notes: Sequence[str] = ()
    charts: Sequence[LineChart] = ()
    classes: Sequence[ClassRow] = ()
    confusion: Sequence[Sequence[Cell]] = ()
    bins: Sequence[Bin] = ()
    samples: Sequence[Sample] = ()
    configuration: Sequence[tuple[str, str]] = ()
    versions: Sequence[tuple[str, str]] = ()
    files: Sequence[File] = ()


def save_report_page(path: str | os.PathLike[str], page: ReportPage) -> Path:
    """Write a report as one HTML file that loads nothing from elsewhere."""
    names = [row.name for row in page.classes]
    pairs = [
        (cell, names[i], names[j])
        for i, row in enumerate(page.confusion)
        for j, cell in enumerate(row)
        if i != j and cell.count
    ]
    confused = sorted(pairs, key=lambda pair: -pair[0].count)[:8]
    return write_page(path, "report.html", page=page, confused=confused)

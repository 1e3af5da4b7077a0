"""Evaluations and runs as HTML reports in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pcmamba.data.labelled_set import LabelledSet
from pcmamba.models import Classifier
from pcmamba.models.spiking_report import SpikingReport
from pcmamba.train.evaluate import Report, read_report
from pcmamba.train.report_evaluation import evaluation_facts, evaluation_parts, hardest_samples
from pcmamba.train.report_run import (
    curves,
    file_entry,
    files_of_run,
    model_text,
    recipe_text,
    run_facts,
    size_fact,
    versions_now,
    versions_of_run,
)
from pcmamba.train.run_folder import read_recipe_of
from pcmamba.train.spiking import spiking_facts
from pcmamba.viz.html_page import png_uri
from pcmamba.viz.report_page import ReportPage, save_report_page
from pcmamba.viz.sample_picture import sample_png

PAGE = "report.html"


def save_evaluation_report(
    folder: Path,
    report: Report,
    model: Classifier,
    data_set: LabelledSet,
    run: Path | None = None,
    spikes: SpikingReport | None = None,
) -> list[Path]:
    """Write an evaluation's files and `report.html`, which shows them all; return their paths.

    Args:
        folder: Where to; made if it is missing.
        report: The evaluation.
        model: What was evaluated.
        data_set: What it was evaluated on.
        run: The run that the model is from, whose curves and recipe are shown too.
        spikes: What the model's neurons did, for a spiking one.

    Raises:
        ImportError: matplotlib is missing.
    """
    paths = [*report.save(folder), *(spikes.save(folder) if spikes else ())]
    page = ReportPage(
        title=f"{model.name or type(model).__name__} on {data_set.name}",
        protocol=report.protocol,
        facts=[
            *evaluation_facts(report),
            size_fact(model),
            *(spiking_facts(spikes) if spikes else ()),
        ],
        notes=(*data_set.notes, *(spikes.warnings if spikes else ())),
        charts=[] if run is None else curves(run),
        **evaluation_parts(report),
        samples=hardest_samples(report.predictions, _pictures(data_set, model)),
        configuration=[*([] if run is None else [recipe_text(run)]), model_text(model)],
        versions=versions_now(model, run),
        files=[file_entry(path, folder) for path in paths],
    )
    return [*paths, save_report_page(folder / PAGE, page)]


def save_run_report(
    run: Path,
    path: Path | None = None,
    *,
    model: Classifier | None = None,
    test_set: LabelledSet | None = None,
) -> Path:
    """Write the report of a run, finished or not, as one HTML page.

    Args:
        run: Its folder.
        path: The page; by default `report.html` in the folder.
        model: Its model, if it has one yet.
        test_set: What it was tested on, for pictures of the hardest samples.

    Raises:
        FileNotFoundError: The folder is not that of a run.
        ValueError: A file of the run is damaged.
    """
    recipe, report, target = read_recipe_of(run), read_report(run), path or run / PAGE
    notes, pictures = list(test_set.notes) if test_set is not None else [], None
    if report is not None and test_set is not None and model is not None:
        if tuple(test_set.ids) == report.predictions.ids:
            pictures = _pictures(test_set, model)
        else:
            notes.append("no pictures: the test split has other samples than when it was evaluated")
    page = ReportPage(
        title=f"Run {run.resolve().name}: {recipe.model.name} on {recipe.data.name}",
        protocol="not tested yet" if report is None else report.protocol,
        facts=[*([] if report is None else evaluation_facts(report)), *run_facts(run, model)],
        notes=notes,
        charts=curves(run),
        **({} if report is None else evaluation_parts(report)),
        samples=[] if report is None else hardest_samples(report.predictions, pictures),
        configuration=[recipe_text(run), *([] if model is None else [model_text(model)])],
        versions=versions_of_run(run),
        files=files_of_run(run, target.parent) if target.parent == run else [],
    )
    return save_report_page(target, page)


def _pictures(data_set: LabelledSet, model: Classifier) -> Callable[[int], str]:
    points = getattr(model.preprocessing, "num_points", None)  # clips have none
    return lambda index: png_uri(sample_png(data_set, index, points))

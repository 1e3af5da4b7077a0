"""A run's part of a report: figures, curves, configuration, versions and files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from pcmamba.models import Classifier
from pcmamba.train.evaluate import EVALUATION
from pcmamba.train.metrics import read_metrics
from pcmamba.train.predictions import ARRAYS, TABLE
from pcmamba.train.recipe_file import dump_recipe
from pcmamba.train.report_evaluation import percent
from pcmamba.train.run_folder import (
    CONFIG,
    ENVIRONMENT,
    MODEL,
    RESULT,
    environment,
    read_recipe_of,
)
from pcmamba.viz.line_chart import Line, LineChart, line_chart
from pcmamba.viz.report_page import Fact, File

HOLDS = {
    EVALUATION: "the figures and the confusion matrix",
    TABLE: "every sample: class, prediction, confidence, loss",
    ARRAYS: "every sample: logits of all classes, for NumPy",
    "confusion.png": "the confusion matrix as a picture",
    "curves.png": "the curves as a picture",
    "metrics.csv": "figures of each epoch",
    CONFIG: "the whole recipe",
    ENVIRONMENT: "versions, device and seed of each start",
    RESULT: "what the run came to",
    f"{MODEL}/model.safetensors": "the weights",
    f"{MODEL}/config.json": "the architecture, classes and preprocessing",
    "spikes.json": "firing rates, operations and energy of every layer",
    "neurons.csv": "firing rate of each layer of neurons",
    "energy.csv": "operations and energy of each layer with products",
}


def size_fact(model: Classifier) -> Fact:
    """Say how large a model is."""
    count = sum(p.numel() for p in model.parameters())
    return Fact("Parameters", f"{count:,}", model.name)


def run_facts(run: Path, model: Classifier | None) -> Iterator[Fact]:
    """Yield how far a run came, how fast and how well."""
    rows, result = read_metrics(run / "metrics.csv"), _json(run / RESULT) or {}
    recipe = read_recipe_of(run)
    if rows:
        done = f"{rows[-1]['epoch']} of {recipe.trainer.max_epochs}"
        yield Fact("Epochs", done, f"{int(rows[-1]['step']):,} steps of {recipe.data.batch_size}")
        speeds = sorted(
            float(row["samples_per_second"]) for row in rows if row["samples_per_second"]
        )
        if speeds:
            yield Fact(
                "Speed", f"{speeds[len(speeds) // 2]:,.0f} / s", "samples trained on, median"
            )
    seconds = result.get("training_seconds") or (float(rows[-1]["seconds"]) if rows else None)
    if seconds is not None:
        yield Fact("Training time", duration(seconds), "validation and checkpoints included")
    best = result.get("best_validation")
    if best:
        note = f"epoch {best['epoch']:.0f}; the result is the last epoch's"
        yield Fact("Best validation", percent(best["val/accuracy"]), note)
    if model is not None:
        yield size_fact(model)


def curves(run: Path) -> list[LineChart]:
    """Return the curves of a run's epochs: loss, accuracy, learning rate, speed."""
    rows = read_metrics(run / "metrics.csv")
    panels = {
        "loss": (("train/loss", "training"), ("val/loss", "validation")),
        "accuracy": (("train/accuracy", "training"), ("val/accuracy", "validation")),
        "learning rate": (("lr", "learning rate"),),
    }
    charts = [
        line_chart(
            title,
            [Line(label, _column(rows, column)) for column, label in lines],
            percent=title == "accuracy",
        )
        for title, lines in panels.items()
    ]
    return [chart for chart in charts if chart is not None]


def _column(rows: Sequence[dict[str, str]], name: str) -> tuple[tuple[float, float], ...]:
    pairs = ((float(row["epoch"]), row.get(name)) for row in rows)
    return tuple((epoch, float(value)) for epoch, value in pairs if value not in (None, ""))


def recipe_text(run: Path) -> tuple[str, str]:
    """Return title and text of a run's whole recipe."""
    return "Recipe", dump_recipe(read_recipe_of(run))


def model_text(model: Classifier) -> tuple[str, str]:
    """Return title and text of what a model is built from."""
    tree = {
        "architecture": _plain(model.config) if hasattr(model, "config") else str(model),
        "preprocessing": _plain(model.preprocessing),
    }
    return "Model", str(yaml.safe_dump(tree, sort_keys=False))


def _plain(config: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def versions_now(model: Classifier, run: Path | None) -> list[tuple[str, str]]:
    """Return names and values of this evaluation, then those of the run's starts."""
    device = next(model.parameters()).device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    now = _version_rows(environment(name, "float32"), "evaluated")
    return now if run is None else [*now, *versions_of_run(run)]


def versions_of_run(run: Path) -> list[tuple[str, str]]:
    """Return names and values of every start of a run."""
    starts = _json(run / ENVIRONMENT) or []
    return [row for start in starts for row in _version_rows(start, "trained from")]


def _version_rows(start: dict[str, Any], title: str) -> list[tuple[str, str]]:
    packages = [f"{name} {version}" for name, version in start["packages"].items() if version]
    device = f"{start['device']}, {start['precision']}, {start['threads']} threads"
    return [
        (title, start["started"]),
        ("device", device),
        ("system", f"Python {start['python']}, {start['platform']}"),
        ("packages", ", ".join(packages)),
        *([("seed", str(start["seed"]))] if "seed" in start else []),
    ]


def files_of_run(run: Path, base: Path) -> list[File]:
    """List a run's files, named from `base`."""
    return [file_entry(run / name, base) for name in HOLDS if (run / name).is_file()]


def file_entry(path: Path, base: Path) -> File:
    """Describe one of the files that an evaluation or a run writes."""
    name = path.relative_to(base).as_posix()
    return File(name, path.stat().st_size, HOLDS[name])


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def duration(seconds: float) -> str:
    """Say a time in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""What `pcmamba view` is asked to show, as samples with a model's answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcmamba.viz.sample import Sample, sample_of_cloud, sample_of_set

if TYPE_CHECKING:
    from torch import Tensor

    from pcmamba.data.structures import CloudSet
    from pcmamba.train.predictor import Predictor


def collect(args: dict[str, Any]) -> list[Sample]:
    """Return the samples that the options name, at least one.

    Raises:
        ValueError: Nothing is named, or both files and a set are.
        FileNotFoundError: There is no such file or run.
    """
    targets, named = args["target"], args["data"]["name"] is not None
    folder = Path(targets[0]) if len(targets) == 1 and Path(targets[0]).is_dir() else None
    if folder is not None:
        return _of_set(args, str(folder))
    if targets and named:
        raise ValueError(f"target must not be given with data.name, got {targets[0]}")
    if named:
        return _of_set(args, args["model"])
    if not targets:
        raise ValueError("target must be given: a file, a run, or --data.name NAME")
    return _of_files(args)


def _of_files(args: dict[str, Any]) -> list[Sample]:
    from pcmamba.data.class_names import read_class_names
    from pcmamba.data.readers import read_points

    samples = []
    for file in args["target"]:
        cloud = read_points(file, up_axis=args["up_axis"])
        sample = sample_of_cloud(cloud, read_class_names(file))
        samples.append(replace(sample, title=Path(file).name))
    if args["truth"]:
        samples = [_with_truth(sample, args["truth"]) for sample in samples]
    if args["model"]:
        samples = _answered_files(samples, args)
    return samples


def _with_truth(sample: Sample, truth: str) -> Sample:
    """Take the labels of the file as predicted, those of `truth` as true."""
    from pcmamba.data.class_names import read_class_names
    from pcmamba.data.readers import read_points

    labels = read_points(truth).labels
    if labels is None or sample.labels is None:
        lacking = truth if labels is None else sample.title
        raise ValueError(f"truth must be given for labelled files, {lacking} has no labels")
    if len(labels) != len(sample):
        raise ValueError(f"truth must have the {len(sample)} points of the file, got {len(labels)}")
    names = read_class_names(truth) or sample.label_names
    return replace(sample, labels=labels, predicted_labels=sample.labels, label_names=names)


def _answered_files(samples: list[Sample], args: dict[str, Any]) -> list[Sample]:
    from pcmamba.train.predictor import load_of_clouds

    predictor = load_of_clouds(args["model"], args["device"])
    answered = []
    for file, sample in zip(args["target"], samples, strict=True):
        found = predictor.predict(file, up_axis=args["up_axis"], top=1, seed=args["seed"])
        answered.append(
            replace(
                sample,
                predicted_class=found.label,
                confidence=found.probabilities[0],
                class_names=tuple(predictor.model.class_names),
            )
        )
    return answered


def _of_set(args: dict[str, Any], model: str | None) -> list[Sample]:
    from pcmamba.cli._command import cloud_set_of
    from pcmamba.data.structures import CloudSet
    from pcmamba.train.predictor import find_run, load_of_clouds

    predictor = load_of_clouds(model, args["device"]) if model else None
    cloud_set = cloud_set_of(args, find_run(model) if model else None)
    if not isinstance(cloud_set, CloudSet):
        raise ValueError(f"data must be a set of clouds, got {type(cloud_set).__name__}")
    if args["count"] < 1 or args["among"] < 1:
        raise ValueError(
            f"count and among must be at least 1, got {args['count']}, {args['among']}"
        )
    rows = _rows(args, cloud_set, predictor)
    samples = [sample_of_set(cloud_set, row) for row in rows]
    return samples if predictor is None else _answered(samples, rows, cloud_set, predictor)


def _rows(args: dict[str, Any], cloud_set: CloudSet, predictor: Predictor | None) -> list[int]:
    """Choose the clouds: those named, or as `pick` says."""
    import torch

    if args["index"] is not None:
        return list(args["index"])
    size, count = len(cloud_set), min(args["count"], len(cloud_set))
    pick = args["pick"] or ("hardest" if predictor is not None else "first")
    if pick == "random":
        generator = torch.Generator().manual_seed(args["seed"])
        return sorted(torch.randperm(size, generator=generator)[:count].tolist())
    if pick == "first":
        return list(range(count if args["pick"] else 1))
    if predictor is None:
        raise ValueError("pick must be random or first without a model, got hardest")
    asked = torch.linspace(0, size - 1, min(args["among"], size)).long().unique()
    probabilities = _probabilities(cloud_set, asked, predictor)
    sure = probabilities.gather(1, cloud_set.labels[asked][:, None]).squeeze(1)
    return list(asked[sure.argsort(stable=True)[:count]].tolist())


def _probabilities(cloud_set: CloudSet, rows: Tensor, predictor: Predictor) -> Tensor:
    """Return (len(rows), K) float64 probabilities, as `pcmamba evaluate` sees the clouds."""
    import torch

    from pcmamba.train.datamodule import evaluation_loader

    model = predictor.model
    if tuple(model.class_names) != tuple(cloud_set.class_names):
        raise ValueError(
            f"data must have the model's {len(model.class_names)} classes, "
            f"got {len(cloud_set.class_names)} of {cloud_set.name}"
        )
    chosen = cloud_set.take(rows)
    loader = evaluation_loader(chosen, model.preprocessing, 32, predictor.device)
    with torch.no_grad():
        found = [model(batch.points, batch.features).double().softmax(1).cpu() for batch in loader]
    return torch.cat(found)


def _answered(
    samples: list[Sample], rows: list[int], cloud_set: CloudSet, predictor: Predictor
) -> list[Sample]:
    import torch

    sure, predicted = _probabilities(cloud_set, torch.tensor(rows), predictor).max(dim=1)
    return [
        replace(sample, predicted_class=cloud_set.class_names[label], confidence=value)
        for sample, label, value in zip(samples, predicted.tolist(), sure.tolist(), strict=True)
    ]

"""Run a recipe: from data to a folder with a trained model, resumable at any moment."""

from __future__ import annotations

import json
import logging
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from pcmamba.data.datasets import DATASETS
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.models import Classifier
from pcmamba.train.build import build_model, build_preprocessing
from pcmamba.train.callbacks import RunKeeper
from pcmamba.train.checkpoint import newest_checkpoint
from pcmamba.train.datamodule import TrainingData, make_dataset, make_transforms
from pcmamba.train.domain import check_domain, domain_of
from pcmamba.train.evaluate import Report, evaluate
from pcmamba.train.inputs import training_transforms
from pcmamba.train.memory import keep_freed_memory
from pcmamba.train.metrics import read_metrics
from pcmamba.train.module import ClassificationModule
from pcmamba.train.pretraining import PretrainingModule
from pcmamba.train.progress import EpochProgress
from pcmamba.train.recipe import Recipe, TrainerConfig
from pcmamba.train.recipe_file import dump_recipe
from pcmamba.train.run_folder import MODEL, RESULT, new_folder, write_start, write_text
from pcmamba.viz.curves import save_curves_png


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        folder: Holds everything; see the README.
        model: With its final weights (the averaged ones, if the recipe averages), in eval mode.
        report: Evaluation of those weights on the test split; None after pre-training.
        epochs: Whole epochs trained.
    """

    folder: Path
    model: Classifier
    report: Report | None
    epochs: int


def train(recipe: Recipe, resume: Path | None = None) -> RunResult:
    """Train by a recipe, evaluate once on the test split, and write the run's folder.

    Under torchrun every process calls this and `recipe.out` must be given.

    Args:
        recipe: What to train; see `load_recipe`.
        resume: Folder of an interrupted run, which goes on from its newest whole checkpoint with
            the same result as if it had never stopped; None begins a new one.

    Raises:
        ValueError: Something in the recipe does not fit.
        NonFiniteError: Loss or gradients became NaN or infinite; names step and place.
        KeyboardInterrupt: Ctrl-C was pressed; says how to go on.
    """
    _check_names(recipe)
    if _devices(recipe.trainer)["accelerator"] == "cpu":
        keep_freed_memory()
    folder, devices = _prepare_folder(recipe, resume), _devices(recipe.trainer)
    recipe = replace(recipe, out=str(folder))
    dataset = make_dataset(recipe.data)
    train_set = dataset.load("train")
    model = build_model(recipe, train_set)
    data = TrainingData(train_set, recipe.data, model.preprocessing, recipe.seed)
    steps = data.steps_per_epoch(_world_size())
    module = make_module(model, recipe, steps)
    state = newest_checkpoint(folder / "checkpoints") if resume else None
    if state is not None:
        module.load_state_dict_of_run(state)
        data.start_at(module.epoch, module.step % steps)
    if _is_first():
        write_start(folder, recipe, _device_name(devices), devices["precision"])
        print(_opening(recipe, folder, data, model, devices, module), flush=True)
    keeper = _fit(recipe, folder, module, data, devices, state)
    test_set = None if recipe.pretrain.mask_ratio else dataset.load("test")
    return _finish(recipe, folder, module, keeper, test_set)


def make_module(model: Classifier, recipe: Recipe, steps_per_epoch: int) -> ClassificationModule:
    """Return what the recipe trains: the classifier, or the autoencoder around it.

    Raises:
        ValueError: Masked pre-training of a model that has no patches.
    """
    if recipe.pretrain.mask_ratio == 0:
        return ClassificationModule(model, recipe, steps_per_epoch, len(model.class_names))
    return PretrainingModule(model, recipe, steps_per_epoch)


def _check_names(recipe: Recipe) -> None:
    """Find unknown names, options and what does not fit together before the data are read."""
    augment, model = make_transforms(recipe.data.augment), recipe.model.name
    holds = getattr(DATASETS[recipe.data.name], "domain", "clouds")
    check_domain(model, domain_of(model), recipe.data.name, holds)
    training_transforms(build_preprocessing(recipe), augment)


def _prepare_folder(recipe: Recipe, resume: Path | None) -> Path:
    if resume is not None:
        return resume
    if _world_size() > 1 and recipe.out is None:
        raise ValueError("out must be given when several processes train together: add --out DIR")
    return new_folder(recipe) if _is_first() else Path(str(recipe.out))


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def _devices(trainer: TrainerConfig) -> dict[str, Any]:
    """Choose device and precision; under torchrun, what it says."""
    gpu = trainer.accelerator == "gpu" or (
        trainer.accelerator == "auto" and torch.cuda.is_available()
    )
    if gpu and not torch.cuda.is_available():
        raise ValueError("trainer.accelerator must be auto or cpu without a CUDA device, got gpu")
    precision = trainer.precision
    if precision == "auto":
        precision = "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return {
        "accelerator": "gpu" if gpu else "cpu",
        "precision": "32-true" if precision == "32" else precision,
        "devices": local,
        "num_nodes": _world_size() // local,
        "strategy": "ddp" if _world_size() > 1 else "auto",
    }


def _device_name(devices: dict[str, Any]) -> str:
    return torch.cuda.get_device_name() if devices["accelerator"] == "gpu" else "cpu"


def _opening(
    recipe: Recipe,
    folder: Path,
    data: TrainingData,
    model: Classifier,
    devices: dict[str, Any],
    module: ClassificationModule,
) -> str:
    parameters = sum(p.numel() for p in model.parameters())
    kept = 0 if data.val_set is None else len(data.val_set.labels)
    lines = [
        dump_recipe(recipe).rstrip(),
        f"data: {len(data.train_set.labels)} {data.train_set.unit} to train on, "
        f"{kept} for validation, "
        f"{len(model.class_names)} classes: {', '.join(model.class_names)}",
        *(f"data: {note}" for note in data.train_set.notes),
        f"model: {recipe.model.name}, {parameters:,} parameters",
        f"device: {_device_name(devices)}, precision {devices['precision']}, "
        f"{_world_size()} process{'es' if _world_size() > 1 else ''}",
        f"folder: {folder}",
    ]
    if module.step:
        lines.append(f"going on after step {module.step} (epoch {module.epoch + 1})")
    return "\n".join(lines)


def _fit(
    recipe: Recipe,
    folder: Path,
    module: ClassificationModule,
    data: TrainingData,
    devices: dict[str, Any],
    state: dict[str, Any] | None,
) -> RunKeeper:
    keeper = RunKeeper(module, folder, state)
    settings = recipe.trainer
    trainer = _quiet_trainer(
        max_epochs=settings.max_epochs - module.epoch,
        max_time={"minutes": settings.max_minutes} if settings.max_minutes else None,
        logger=TensorBoardLogger(folder, "tensorboard", "", purge_step=module.step),
        callbacks=[keeper, EpochProgress(keeper, settings.progress_bar)],
        sync_batchnorm=(
            settings.sync_batchnorm and _world_size() > 1 and devices["accelerator"] == "gpu"
        ),
        limit_val_batches=0 if data.val_set is None else 1.0,
        default_root_dir=folder,
        **devices,
    )
    if module.epoch < settings.max_epochs:
        _fit_or_interrupt(trainer, module, data, folder)
    return keeper


def _fit_or_interrupt(
    trainer: lightning.Trainer, module: ClassificationModule, data: TrainingData, folder: Path
) -> None:
    try:
        trainer.fit(module, datamodule=data)
    except (KeyboardInterrupt, SystemExit):
        # Lightning turns Ctrl-C into an exit that says nothing.
        if trainer.interrupted:
            said = f"stopped after step {module.step}; go on with --resume {folder}"
            raise KeyboardInterrupt(said) from None
        raise


def _quiet_trainer(**options: Any) -> lightning.Trainer:
    """Make a Trainer without what this library does itself: bars, checkpoints, samplers, advice."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for advice in (".*number of training batches.*logging interval.*", ".*LeafSpec.*deprecated.*"):
        warnings.filterwarnings("ignore", message=advice)
    return lightning.Trainer(
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        **options,
    )


def _finish(
    recipe: Recipe,
    folder: Path,
    module: ClassificationModule,
    keeper: RunKeeper,
    test_set: LabelledSet | None,
) -> RunResult:
    if module.average is not None:
        module.average.copy_to(module.model)
    model = module.classifier
    device = torch.device("cuda" if _devices(recipe.trainer)["accelerator"] == "gpu" else "cpu")
    model.to(device).eval()
    report = None
    if test_set is not None:
        report = evaluate(model, test_set, batch_size=recipe.data.eval_batch_size)
    if _is_first():
        model.save_pretrained(folder / MODEL)
        _write_result(recipe, folder, module, keeper, report)
    return RunResult(folder, model, report, module.epoch)


def _write_result(
    recipe: Recipe,
    folder: Path,
    module: ClassificationModule,
    keeper: RunKeeper,
    report: Report | None,
) -> None:
    if report is not None:
        report.save(folder, picture=False)
    content = {
        "test": None if report is None else report.summary(),
        "validation": module.validation,
        "best_validation": keeper.best,
        "epochs": module.epoch,
        "max_epochs": recipe.trainer.max_epochs,
        "steps": module.step,
        "training_seconds": keeper.seconds,
        "weights": "averaged" if module.average is not None else "last step",
    }
    write_text(folder / RESULT, json.dumps(content, indent=2) + "\n")
    try:
        save_curves_png(folder / "curves.png", read_metrics(folder / "metrics.csv"))
    except ImportError as error:
        print(f"no curves.png: {error}")

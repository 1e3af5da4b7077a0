"""What happens around the steps of a run: averaging, checkpoints, metrics, the best weights."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from pcmamba.data.batch import ModelBatch
from pcmamba.train.checkpoint import remove_leftovers, save_checkpoint
from pcmamba.train.metrics import MetricsFile
from pcmamba.train.module import ClassificationModule


class RunKeeper(Callback):
    """Count steps, evaluate the averaged weights, and keep a run's files.

    Only the first process writes. Lightning's own checkpoints are not used: from one that was
    written after the last step of an epoch, 2.6 goes on with the next epoch and never makes up for
    the validation, so that another epoch may become the best. Here a step number says all: a fresh
    Trainer runs what remains of that epoch and the epochs after it.

    Args:
        module: What is trained.
        folder: Of the run.
        state: The checkpoint that the run goes on from, or None.

    Attributes:
        best: Accuracy and epoch of the best validation so far.
        seconds: Training time so far, earlier processes counted.
        row: Metrics of the last finished epoch.
    """

    def __init__(
        self, module: ClassificationModule, folder: Path, state: dict[str, Any] | None
    ) -> None:
        self.module, self.folder = module, folder
        self.best: dict[str, float] | None = state["best"] if state else None
        self.seconds: float = state["seconds"] if state else 0.0
        self.row: dict[str, float] = {}
        self._averaged: AbstractContextManager[None] = nullcontext()
        self._saved_step = -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop what a killed process left half done."""
        if trainer.is_global_zero:
            remove_leftovers(self.folder / "checkpoints")
            self.file = MetricsFile(self.folder / "metrics.csv", self.module.epoch)
        self._saved_step = self.module.step
        self._clock = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_clock, self._first_step = time.perf_counter(), self.module.step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: ModelBatch,
        batch_idx: int,
    ) -> None:
        """Count the step; log, save or close the epoch when it is time."""
        self.module.finish_step()
        settings = self.module.recipe.trainer
        every, step = settings.checkpoint_every_n_steps, self.module.step
        epoch_done = step % self.module.steps_per_epoch == 0
        if epoch_done or step % settings.log_every_n_steps == 0:
            self._read_metrics(trainer)
        if epoch_done:
            elapsed = time.perf_counter() - self._epoch_clock
            samples = (step - self._first_step) * len(batch) * trainer.world_size
            self.row["samples_per_second"] = samples / elapsed
        elif every and step % every == 0:
            self.save(trainer)

    def _read_metrics(self, trainer: Trainer) -> None:
        loss, right, samples = self.module.tally.tolist()
        self.row = {
            "epoch": -(-self.module.step // self.module.steps_per_epoch),
            "step": self.module.step,
            "lr": self.module.lr,
            "train/loss": loss / samples,
        }
        if self.module.classifies:
            self.row["train/accuracy"] = right / samples
        self._log(trainer, self.row)

    def _log(self, trainer: Trainer, row: dict[str, float]) -> None:
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, step=int(row["step"]))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the averaged weights in place."""
        self._averaged = averaged(self.module)
        self._averaged.__enter__()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the trained weights back."""
        self._averaged.__exit__(None, None, None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add up the time."""
        self.seconds += time.perf_counter() - self._clock

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row, the best weights and a checkpoint."""
        if self.module.step % self.module.steps_per_epoch == 0:
            self.module.tally.zero_()
            self.row |= self.module.validation
            self.row["seconds"] = self.seconds + time.perf_counter() - self._clock
            self._log(trainer, {"step": self.module.step, **self.module.validation})
            if trainer.is_global_zero:
                self.file.append(self.row)
                self._keep_best()
        self.save(trainer)

    def _keep_best(self) -> None:
        accuracy = self.module.validation.get("val/accuracy")
        if accuracy is None or (self.best and accuracy <= self.best["val/accuracy"]):
            return
        self.best = {"epoch": self.module.epoch, **self.module.validation}
        with averaged(self.module):
            self.module.classifier.save_pretrained(self.folder / "checkpoints" / "best")

    def save(self, trainer: Trainer) -> None:
        """Write a step checkpoint, unless this step has one or its numbers are not finite."""
        if self.module.step == self._saved_step:
            return
        self.module.guard.check(self.module.model, None, self.module.step - 1)
        self._saved_step = self.module.step
        if trainer.is_global_zero:
            state = {
                **self.module.state_dict_of_run(),
                "best": self.best,
                "seconds": self.seconds + time.perf_counter() - self._clock,
            }
            save_checkpoint(self.folder / "checkpoints", self.module.step, state)


def averaged(module: ClassificationModule) -> AbstractContextManager[None]:
    """Return a context in which the model has its averaged weights, if the run keeps any."""
    return nullcontext() if module.average is None else module.average.applied(module.model)

"""The training step of a classifier, as a Lightning module."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from pcmamba.data.batch import ModelBatch
from pcmamba.models import Classifier
from pcmamba.train.ema import WeightAverage
from pcmamba.train.graph import GraphedStep, StepValues
from pcmamba.train.guard import FiniteGuard
from pcmamba.train.metrics import accuracies
from pcmamba.train.optim import learning_rate, parameter_groups, smoothed_cross_entropy
from pcmamba.train.recipe import Recipe


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's draws on the device (dropout, drop path), 63 bits."""
    digest = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class ClassificationModule(lightning.LightningModule):
    """Train a classifier by a recipe, from any step on.

    Learning rate and random draws are functions of the step, so `state_dict_of_run` and the step
    number are all that a resumed run needs.

    Forward, backward, clipping and optimizer are one function of a batch, which a GPU runs as one
    CUDA graph; hence Lightning's manual optimization.

    Attributes:
        step: Optimizer steps done since the run began, interruptions not counted.
        lr: Learning rate of the last step.
        average: Averaged weights, if the recipe wants them.
        tally: Sums of (loss, right answers, recordings) of the epoch so far, on the device.
        validation: Metrics of the last validation, as numbers.
        classifies: Whether the objective counts right answers.
    """

    classifies = True

    def __init__(
        self, model: nn.Module, recipe: Recipe, steps_per_epoch: int, classes: int
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.automatic_optimization = False
        self.step, self.lr = 0, 0.0
        decay = recipe.optim.ema_decay
        self.average = None if decay is None else WeightAverage(model, decay)
        self.confusion = MulticlassConfusionMatrix(
            classes, validate_args=False, sync_on_compute=False, dist_sync_on_step=False
        )
        # Plain attributes: DistributedDataParallel would send buffers around at every step.
        self.tally = torch.zeros(3, dtype=torch.float64)
        self.val_loss = torch.zeros(2, dtype=torch.float64)
        self.validation: dict[str, float] = {}
        self.optimizer_state: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    def on_fit_start(self) -> None:
        """Place what Lightning does not know of on the device."""
        self.guard = FiniteGuard(self.device)
        self.tally, self.val_loss = self.tally.to(self.device), self.val_loss.to(self.device)
        every = self.recipe.trainer.check_finite_every_n_steps
        on_cpu = self.device.type == "cpu"
        self.check_every = every or (1 if on_cpu else self.recipe.trainer.log_every_n_steps)
        if self.average is not None:
            self.average.to(self.device)
        mode, alone = self.recipe.trainer.cuda_graph, self.trainer.world_size == 1
        if mode == "always" and (on_cpu or not alone):
            where = "a CPU" if on_cpu else f"{self.trainer.world_size} processes"
            raise ValueError(f"trainer.cuda_graph must be auto or never on {where}, got always")
        graphed = mode != "never" and not on_cpu and alone
        self.graph = GraphedStep(self._optimize, mode == "always") if graphed else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make AdamW, with its state if the run goes on."""
        optim = self.recipe.optim
        groups = parameter_groups(self.model, optim.weight_decay)
        on_gpu = self.device.type == "cuda"
        # A rate on the device can change between replays of a graph.
        rate = torch.zeros((), device=self.device) if on_gpu else optim.lr
        options: dict[str, Any] = {"lr": rate, "fused": True, "capturable": on_gpu}
        self.optimizer = torch.optim.AdamW(groups, betas=optim.betas, **options)
        if self.optimizer_state is not None:
            saved = self.optimizer_state["param_groups"]
            self.optimizer_state["param_groups"] = [group | options for group in saved]
            self.optimizer.load_state_dict(self.optimizer_state)
            self.optimizer_state = None
        return self.optimizer

    def current_lr(self) -> float:
        """Return the learning rate of the coming step."""
        trainer = self.recipe.trainer
        return learning_rate(self.step, self.steps_per_epoch, trainer.max_epochs, self.recipe.optim)

    def on_train_batch_start(self, batch: ModelBatch, batch_idx: int) -> None:
        """Set what depends on the step: learning rate and random draws."""
        self.lr = self.current_lr()
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.lr)
            else:
                group["lr"] = self.lr
        torch.manual_seed(step_seed(self.recipe.seed, self.step, self.global_rank))

    def training_step(self, batch: ModelBatch, batch_idx: int) -> None:
        """Take a whole step on a batch and count what came of it."""
        self._batch = batch
        if self.graph is None:
            values = self._optimize(batch.labels, *batch.inputs)
        else:
            values = self.graph(batch)
            self._watch(values.loss)
            self._watch(values.norm)
        # Entry by entry: a tensor made from host numbers would wait for the device.
        self.tally[0] += values.loss * len(batch)
        self.tally[1] += values.right
        self.tally[2] += len(batch)

    def _optimize(self, labels: Tensor, *inputs: Tensor | None) -> StepValues:
        """Do all of a step that a CUDA graph can record: nothing here may wait for the device."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, right = self.objective(labels, *inputs)
        if self.graph is None:
            self._watch(loss)
        with torch.autocast(self.device.type, enabled=False):
            self.manual_backward(loss)
        limit = self.recipe.optim.clip_norm
        norm = nn.utils.clip_grad_norm_(
            self.model.parameters(), float("inf") if limit is None else limit
        )
        if self.graph is None:
            self._watch(norm)
        self.optimizer.step()
        return StepValues(loss.detach(), norm, right)

    def objective(self, labels: Tensor, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and how many of it were classified rightly."""
        logits = self.model(*inputs).float()
        loss = smoothed_cross_entropy(logits, labels, self.recipe.optim.label_smoothing)
        return loss, (logits.detach().argmax(dim=1) == labels).sum()

    @property
    def classifier(self) -> Classifier:
        """What the run saves."""
        return cast("Classifier", self.model)

    def _watch(self, value: Tensor) -> None:
        """Note whether a number of this step is finite, and look from time to time."""
        self.guard.observe(self.step, value)
        if (self.step + 1) % self.check_every == 0:
            self.guard.check(self.model, self._batch, self.step)

    def finish_step(self) -> None:
        """Count the step and take its weights into the average."""
        self.step += 1
        if self.average is not None:
            self.average.update(self.model)

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self.confusion.reset()
        self.val_loss.zero_()

    def validation_step(self, batch: ModelBatch, batch_idx: int) -> None:
        """Count a batch of the validation split."""
        logits = self.model(*batch.inputs).float()
        loss = smoothed_cross_entropy(logits, batch.labels, self.recipe.optim.label_smoothing)
        self.confusion.update(logits.argmax(dim=1), batch.labels)
        self.val_loss[0] += loss * len(batch)
        self.val_loss[1] += len(batch)

    def on_validation_epoch_end(self) -> None:
        """Turn the counts into numbers."""
        loss, count = self.val_loss.tolist()
        overall, mean_class = accuracies(self.confusion.compute())
        self.validation = {
            "val/loss": loss / count,
            "val/accuracy": overall,
            "val/mean_class_accuracy": mean_class,
        }

    def state_dict_of_run(self) -> dict[str, Any]:
        """Return all that a resumed run needs beside the step."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": _plain_rates(self.optimizer.state_dict()),
            "tally": self.tally,
        }

    def load_state_dict_of_run(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint, before `Trainer.fit`.

        Raises:
            ValueError: The checkpoint has no averaged weights and the recipe wants them.
        """
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        self.optimizer_state = state["optimizer"]
        self.tally.copy_(state["tally"])
        if self.average is not None:
            if state["average"] is None:
                raise ValueError("optim.ema_decay must be unset, as when the run began")
            self.average.load_state_dict(state["average"])


def _plain_rates(state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state with its learning rates as numbers."""
    groups = [group | {"lr": float(group["lr"])} for group in state["param_groups"]]
    return state | {"param_groups": groups}

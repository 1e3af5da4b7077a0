"""Progress of a run: a bar on a terminal, a line for every epoch anywhere."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pcmamba.data.batch import CloudBatch
from pcmamba.train.callbacks import RunKeeper


def epoch_line(row: dict[str, float], max_epochs: int) -> str:
    """Put an epoch's metrics in one line."""
    parts = [
        f"epoch {row['epoch']:>3}/{max_epochs}",
        f"loss {row['train/loss']:.3f}",
    ]
    if "train/accuracy" in row:
        parts.append(f"train {row['train/accuracy']:6.1%}")
    elif "val/loss" in row:
        parts.append(f"val {row['val/loss']:.3f}")
    if "val/accuracy" in row:
        parts.append(f"val {row['val/accuracy']:6.1%}")
    if "samples_per_second" in row:
        parts.append(f"{row['samples_per_second']:.0f} samples/s")
    return "  ".join(parts)


class EpochProgress(Callback):
    """Show a run's progress from the metrics that its keeper has read anyway.

    Args:
        keeper: Must come before this callback.
        bar: Show a bar where the output is a terminal.
    """

    def __init__(self, keeper: RunKeeper, bar: bool) -> None:
        self.keeper, self.module = keeper, keeper.module
        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (bar and self.console.is_terminal),
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        total = self.module.recipe.trainer.max_epochs * self.module.steps_per_epoch
        self.task = self.progress.add_task("training", total=total, completed=self.module.step)
        if trainer.is_global_zero:
            self.progress.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: CloudBatch,
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        text = None
        if self.keeper.row.get("step") == self.module.step:
            text = epoch_line(self.keeper.row, self.module.recipe.trainer.max_epochs)
        self.progress.update(self.task, completed=self.module.step, description=text)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line."""
        if trainer.is_global_zero and self.module.step % self.module.steps_per_epoch == 0:
            line = epoch_line(self.keeper.row, self.module.recipe.trainer.max_epochs)
            self.console.print(line, highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away, so that the message stands alone."""
        self.progress.stop()

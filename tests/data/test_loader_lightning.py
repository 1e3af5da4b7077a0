"""The loader inside Lightning's fit loop: epochs reach it, and a resumed run sees the same data."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from pcmamba.data.batch import CloudBatch
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.structures import CloudSet
from pcmamba.data.transforms import Scale

EPOCHS, BATCHES = 3, 4


class Recorder(L.LightningModule):
    def __init__(self, validate: bool) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list[tuple[int, list[int], float]] = []
        self.validate = validate

    def training_step(self, batch: CloudBatch) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch.index.tolist(), float(batch.points.sum())))
        return self.layer(batch.points).square().mean()

    def validation_step(self, batch: CloudBatch) -> None:
        self.layer(batch.points)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def _loader(shuffle: bool) -> ResidentLoader:
    points = torch.linspace(-1, 1, 7 * 5 * 3).reshape(7, 5, 3)
    clouds = CloudSet(
        points=points,
        labels=torch.zeros(7, dtype=torch.int64),
        class_names=("a",),
        ids=tuple("abcdefg"),
        name="line",
        split="train",
        up_axis="z",
    )
    return ResidentLoader(clouds, 2, shuffle=shuffle, seed=3, transforms=(Scale(0.5, 2.0),))


def _fit(folder: Path, validate: bool, resume: Path | None = None) -> Recorder:
    module = Recorder(validate)
    saver = ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=[saver],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        limit_val_batches=None if validate else 0,
    )
    trainer.fit(module, _loader(shuffle=True), _loader(shuffle=False), ckpt_path=resume)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("validate", [False, True], ids=["train only", "with validation"])
def test_a_run_resumed_after_any_step_sees_the_same_batches(tmp_path: Path, validate: bool):
    whole = _fit(tmp_path / "whole", validate)
    assert [epoch for epoch, _, _ in whole.seen] == [0] * BATCHES + [1] * BATCHES + [2] * BATCHES
    for epoch in range(EPOCHS):
        order = [i for e, index, _ in whole.seen if e == epoch for i in index]
        assert sorted(order) == list(range(7))
    assert whole.seen[0][1] != whole.seen[BATCHES][1] or whole.seen[1][1] != whole.seen[5][1]
    for step in (1, 3, 4, 6, 8, 11):
        resume = tmp_path / "whole" / f"step={step}.ckpt"
        resumed = _fit(tmp_path / f"from{step}", validate, resume)
        assert resumed.seen == whole.seen[step:], f"after step {step}"
        assert torch.equal(resumed.layer.weight, whole.layer.weight)

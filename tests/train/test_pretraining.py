"""Masked pre-training: a run, its continuation, and training from its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pcmamba.train.recipe_file import load_recipe
from pcmamba.train.run import train

SIZES = "{width: 16, depth: 1, num_patches: 8, patch_size: 4, neighbours: 3, enhancer_groups: 8}"
OPTIONS = [
    f"--model.overrides={SIZES}",
    "--data.options={train_size: 64, test_size: 32, num_points: 64}",
    "--data.num_points=32",
    "--data.batch_size=16",
    "--trainer.max_epochs=2",
    "--trainer.accelerator=cpu",
    "--trainer.progress_bar=false",
]


def pretrained(folder: Path, *options: str):
    return train(load_recipe("pretrain/hymamba_small", [*OPTIONS, f"--out={folder}", *options]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return pretrained(tmp_path_factory.mktemp("pretrained") / "run")


def test_a_run_learns_without_labels_and_saves_the_encoder(run) -> None:
    result = json.loads((run.folder / "result.json").read_text())
    assert result["test"] is None and run.report is None
    assert result["validation"]["val/loss"] > 0
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("train/loss")
    first, last = (float(row.split(",")[column]) for row in (rows[1], rows[-1]))
    assert last < first
    assert run.model.name == "hymamba_small"


def test_two_runs_give_the_same_bits(run, tmp_path: Path) -> None:
    again = pretrained(tmp_path / "run")
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_training_starts_from_the_encoder_with_a_fresh_head(run, tmp_path: Path, capsys) -> None:
    def classifier(*options: str):
        fixed = [*OPTIONS, f"--out={tmp_path / str(len(options))}", "--optim.lr=1e-12"]
        given = ["--optim.min_lr=1e-13", "--optim.ema_decay=null", *options]
        return train(load_recipe("shapes/hymamba_small", [*fixed, *given])).model.state_dict()

    begun = classifier(f"--model.init_from={run.folder}")
    fresh = classifier()
    name = "blocks.0.mixer.in_proj.weight"
    torch.testing.assert_close(begun[name], run.model.state_dict()[name])
    assert (fresh[name] - begun[name]).abs().max() > 1e-3
    assert "head: fresh" not in capsys.readouterr().out  # the same classes


def test_a_model_without_patches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pretrain must be of a model with patches"):
        train(
            load_recipe(
                "shapes/pcm_nano",
                [*OPTIONS[1:], f"--out={tmp_path / 'run'}", "--pretrain.mask_ratio=0.6"],
            )
        )

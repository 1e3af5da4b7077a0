from __future__ import annotations

import json

import pytest
import torch

from pcmamba import cli
from pcmamba.cli.fewshot import recipe_overrides

TINY = [
    "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4}",
    "--data.options={train_size: 80, test_size: 48, num_points: 96}",
    "--data.num_points",
    "64",
    "--data.batch_size=4",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_folds_of_one_recipe(tmp_path, capsys):
    folds = ["--way=2", "--shot", "2", "--folds=2", "--query=2", f"--out={tmp_path}"]
    assert cli.main(["fewshot", "shapes/pcm_nano", *folds, *TINY]) == 0
    out = capsys.readouterr().out
    assert out.count("fold 1/2") == 1
    assert "2-way 2-shot of shapes, 2 folds" in out
    assert "loss" not in out, "what a fold prints goes to its log"
    stored = json.loads((tmp_path / "few_shot.json").read_text())
    assert cli.main(["fewshot", "shapes/pcm_nano", *folds, *TINY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == stored
    assert "loss" in (tmp_path / "1-pcm_nano" / "fold-0.log").read_text()


def test_overrides_are_told_from_own_options():
    argv = ["fewshot/x", "--way", "5", "--data.root", "D", "--json", "--seed=3", "--against", "y"]
    assert recipe_overrides([*argv, "--model.init_from", "R"]) == [
        "--data.root=D",
        "--seed=3",
        "--model.init_from=R",
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["shapes/pcm_nona"], "Did you mean 'shapes/pcm_nano'"),
        (["shapes/pcm_nano", "--sot=3"], "option must be one of"),
        (["shapes/pcm_nano", "--way=0"], "way must be at least 1, got 0"),
        (["shapes/pcm_nano", "--against=gone.yaml"], "recipe gone.yaml must be a file"),
    ],
)
def test_misuse_is_one_line(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fewshot", *argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err

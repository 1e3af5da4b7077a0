from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import sys

import pytest
import torch

from pcmamba.models import PointClassifier
from pcmamba.train import run_folder
from pcmamba.train.checkpoint import list_checkpoints, newest_checkpoint
from pcmamba.train.guard import NonFiniteError
from pcmamba.train.metrics import read_metrics
from pcmamba.train.module import ClassificationModule, step_seed
from pcmamba.train.recipe import Recipe
from pcmamba.train.run import train

STEPS = 4  # of an epoch: 64 training clouds of 80 in batches of 16


class Killed(Exception):
    pass


def weights(folder, part="model"):
    return (folder / part / "model.safetensors").read_bytes()


def figures(folder):
    rows = read_metrics(folder / "metrics.csv")
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def test_folder_of_a_run_holds_all_that_is_promised(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    assert names >= {
        "checkpoints",
        "config.yaml",
        "curves.png",
        "environment.json",
        "evaluation.json",
        "metrics.csv",
        "model",
        "result.json",
        "tensorboard",
    }
    assert run_folder.read_recipe_of(tiny_run).out == str(tiny_run)
    [start] = json.loads((tiny_run / "environment.json").read_text())
    assert start["packages"]["torch"] == torch.__version__
    assert (start["seed"], start["device"], start["precision"]) == (0, "cpu", "32-true")
    assert [row["epoch"] for row in figures(tiny_run)] == ["1", "2"]
    assert list((tiny_run / "tensorboard").glob("events.*"))
    assert not [path for path in tiny_run.rglob(".*") if path.is_file()], "temporary files are gone"


def test_result_names_the_protocol_and_the_weights(tiny_run):
    result = json.loads((tiny_run / "result.json").read_text())
    assert result["weights"] == "averaged"
    assert result["test"]["protocol"] == (
        "shapes (synthetic), test split, 32 clouds, first 64 points of each, float32, "
        "one view, no voting"
    )
    assert result["test"]["clouds"] == 32
    assert (result["epochs"], result["steps"]) == (2, 2 * STEPS)


def test_saved_model_knows_classes_and_preprocessing(tiny_run):
    model = PointClassifier.from_pretrained(str(tiny_run / "model"))
    assert model.class_names[:2] == ("airplane", "arch")
    assert model.preprocessing.num_points == 64


def test_saved_weights_are_the_average(tiny_run):
    model = PointClassifier.from_pretrained(str(tiny_run / "model"))
    state = newest_checkpoint(tiny_run / "checkpoints")
    for name, value in model.named_parameters():
        assert torch.equal(value, state["average"]["weights"][name]), name
    assert any(not torch.equal(v, state["model"][k]) for k, v in model.named_parameters())


def test_same_seed_same_weights_other_seed_others(tiny_run, tiny_recipe, tmp_path):
    again = train(tiny_recipe(tmp_path / "again", "--trainer.checkpoint_every_n_steps=0"))
    assert weights(again.folder) == weights(tiny_run)
    assert figures(again.folder) == figures(tiny_run)
    other = train(tiny_recipe(tmp_path / "other", "--seed=1", "--trainer.max_epochs=1"))
    assert weights(other.folder) != weights(tiny_run)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("training_step", 0),
        ("training_step", 7),
        ("finish_step", STEPS - 1),
        ("on_validation_epoch_end", 1),
        ("state_dict_of_run", 1),
    ],
)
def test_resume_after_an_end_at_any_moment(
    tiny_run, tiny_recipe, tmp_path, monkeypatch, method, call
):
    folder, calls, real = tmp_path / "run", [], getattr(ClassificationModule, method)

    def dies(self, *args):
        calls.append(method)
        if len(calls) == call + 1:
            raise Killed
        return real(self, *args)

    recipe = tiny_recipe(folder)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, method, dies)
        with pytest.raises(Killed):
            train(recipe)
    assert not run_folder.is_finished(folder)
    train(recipe, resume=folder)
    assert weights(folder) == weights(tiny_run)
    assert weights(folder, "checkpoints/best") == weights(tiny_run, "checkpoints/best")
    assert figures(folder) == figures(tiny_run)


def test_resume_falls_back_from_a_damaged_checkpoint(tiny_run, tiny_recipe, tmp_path, capsys):
    folder, recipe = tmp_path / "run", tiny_recipe(tmp_path / "run")
    train(recipe)
    newest = list_checkpoints(folder / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[:-1000])
    train(recipe, resume=folder)
    assert "passed over" in capsys.readouterr().err
    assert weights(folder) == weights(tiny_run)


def test_no_validation_split_keeps_only_the_last(tiny_recipe, tmp_path):
    out = train(
        tiny_recipe(tmp_path / "run", "--data.val_fraction=0", "--trainer.max_epochs=1")
    ).folder
    assert not (out / "checkpoints" / "best").exists()
    [row] = read_metrics(out / "metrics.csv")
    assert row["val/accuracy"] == ""
    assert row["step"] == "5", "all 80 clouds train"
    assert json.loads((out / "result.json").read_text())["best_validation"] is None


def test_time_limit_ends_the_run_and_it_can_go_on(tiny_run, tiny_recipe, tmp_path):
    folder = tmp_path / "run"
    stopped = train(tiny_recipe(folder, "--trainer.max_minutes=0.0001"))
    assert stopped.epochs == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["steps"] < 2 * STEPS
    train(tiny_recipe(folder), resume=folder)
    assert weights(folder) == weights(tiny_run)


def test_a_learning_rate_that_explodes_is_named_and_not_saved(tiny_recipe, tmp_path):
    wild = ["--optim.lr=1e30", "--optim.warmup_epochs=0", "--optim.clip_norm=null"]
    with pytest.raises(NonFiniteError, match=r"NaN or infinity at step \d+: first non-finite"):
        train(tiny_recipe(tmp_path / "run", *wild))
    for path in list_checkpoints(tmp_path / "run" / "checkpoints"):
        state = torch.load(path, weights_only=True)
        assert all(torch.isfinite(v).all() for v in state["model"].values())


def test_init_from_starts_with_the_saved_weights(tiny_run, tiny_recipe, tmp_path):
    still = ["--optim.lr=1e-12", "--optim.min_lr=0", "--optim.warmup_epochs=0"]
    out = train(tiny_recipe(tmp_path / "run", f"--model.init_from={tiny_run}", *still)).model
    wanted = PointClassifier.from_pretrained(str(tiny_run / "model"))
    for (name, a), b in zip(out.named_parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_without_matplotlib_the_result_is_kept(tiny_run, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    for name in ("result.json", "curves.png"):
        (folder / name).unlink()
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    train(run_folder.read_recipe_of(folder), resume=folder)
    assert (folder / "result.json").is_file()
    assert "no curves.png: pictures need matplotlib: pip install" in capsys.readouterr().out


def test_ctrl_c_says_how_to_go_on(tiny_recipe, tmp_path, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ClassificationModule, "validation_step", pressed)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step 4; go on with --resume .*run"):
        train(tiny_recipe(tmp_path / "run"))
    signal.signal(signal.SIGINT, before)  # Lightning ignores further interrupts


def test_a_used_folder_is_refused(tiny_run, tiny_recipe):
    with pytest.raises(ValueError, match=r"out must be a new or empty folder.*--resume"):
        train(tiny_recipe(tiny_run))


def test_several_processes_need_a_folder(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = dataclasses.replace(tiny_recipe(tmp_path), out=None)
    with pytest.raises(ValueError, match="out must be given"):
        train(recipe)


def test_default_folders_are_numbered_and_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe()
    assert run_folder.newest_unfinished(recipe) is None
    first = run_folder.new_folder(recipe)
    run_folder.write_start(first, recipe, "cpu", "32")
    second = run_folder.new_folder(recipe)
    run_folder.write_start(second, recipe, "cpu", "32")
    assert (str(first), str(second)) == ("runs/shapes-pcm_tiny", "runs/shapes-pcm_tiny-2")
    assert run_folder.newest_unfinished(recipe) == second
    (second / "result.json").write_text('{"epochs": 3, "max_epochs": 5}')
    assert run_folder.newest_unfinished(recipe) == second, "a time limit ended it"
    (second / "result.json").write_text('{"epochs": 5, "max_epochs": 5}')
    assert run_folder.newest_unfinished(recipe) == first


def test_step_seeds_differ_by_seed_step_and_rank():
    seeds = {step_seed(s, t, r) for s in range(3) for t in range(3) for r in range(3)}
    assert len(seeds) == 27
    assert all(0 <= seed < 2**63 for seed in seeds)

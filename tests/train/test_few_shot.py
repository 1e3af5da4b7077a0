from __future__ import annotations

import dataclasses
import json

import pytest

from pcmamba.train import few_shot
from pcmamba.train.few_shot import FewShotProtocol, fold_recipe, run_few_shot
from pcmamba.train.few_shot_result import FewShotResult, FewShotScore
from pcmamba.train.recipe_file import load_recipe

TINY = [
    "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4}",
    "--data.options={train_size: 80, test_size: 48, num_points: 96}",
    "--data.num_points=64",
    "--data.batch_size=6",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]
PROTOCOL = FewShotProtocol(way=3, shot=2, folds=2, query=2)


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("shapes/pcm_nano", TINY)


@pytest.fixture(scope="module")
def done(recipe, tmp_path_factory):
    """Both models on both folds: the recipes, the folder and the result."""
    recipes = [recipe, dataclasses.replace(recipe, seed=5)]
    folder = tmp_path_factory.mktemp("few")
    return recipes, folder, run_few_shot(recipes, PROTOCOL, folder)


def test_every_fold_is_a_run_with_its_own_classes_and_seed(done):
    _, folder, result = done
    runs = sorted(p.parent for p in folder.rglob("config.yaml"))
    assert [p.relative_to(folder).as_posix() for p in runs] == [
        f"{number}-pcm_nano/fold-{fold}" for number in (1, 2) for fold in (0, 1)
    ]
    stored = [json.loads((p / "evaluation.json").read_text()) for p in runs]
    assert [s["clouds"] for s in stored] == [6] * 4
    classes = [tuple(s["classes"]) for s in stored]
    assert classes[:2] == classes[2:], "both models see the same classes"
    assert classes[0] != classes[1]
    accuracies = [s["overall_accuracy"] for s in stored]
    assert [a for s in result.scores for a in s.accuracies] == accuracies
    assert "3-way 2-shot of shapes, 2 folds, 2 test clouds a class" in result.protocol


def test_finished_folds_are_not_run_again(done, monkeypatch):
    recipes, folder, result = done
    monkeypatch.setattr(few_shot, "train", None)
    said = []
    again = run_few_shot(recipes, PROTOCOL, folder, said.append)
    assert again == result
    assert len(said) == 4 and all("finished before" in line for line in said)
    assert json.loads((folder / "few_shot.json").read_text())["protocol"] == result.protocol


def test_a_fold_of_another_recipe_is_refused(done):
    recipes, folder, _ = done
    other = [dataclasses.replace(recipes[0], seed=9)]
    with pytest.raises(ValueError, match=r"another recipe, got .*fold-0 with seed: 0 -> 9"):
        run_few_shot(other, PROTOCOL, folder)


def test_an_interrupted_fold_goes_on(recipe, tmp_path, monkeypatch):
    protocol = dataclasses.replace(PROTOCOL, folds=1)
    place = tmp_path / "1-pcm_nano" / "fold-0"
    real, resumed = few_shot.train, []

    def stopping(recipe, resume=None):
        real(recipe, resume)
        (place / "result.json").unlink()
        raise KeyboardInterrupt

    def going_on(recipe, resume=None):
        resumed.append(resume)
        return real(recipe, resume)

    monkeypatch.setattr(few_shot, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_few_shot([recipe], protocol, tmp_path)
    monkeypatch.setattr(few_shot, "train", going_on)
    said = []
    run_few_shot([recipe], protocol, tmp_path, said.append)
    assert resumed == [place]
    assert "went on" in said[0]


def test_folds_are_drawn_from_whatever_the_recipe_trains_on(recipe):
    protocol = FewShotProtocol(way=10, shot=20, seed=3)
    drawn = fold_recipe(recipe, protocol, 4, None).data
    assert drawn.name == "few_shot"
    assert drawn.options["base"] == "shapes"
    assert drawn.options["base_options"] == recipe.data.options
    wanted = {"way": 10, "shot": 20, "fold": 4, "query": 20, "seed": 3}
    assert {k: drawn.options[k] for k in wanted} == wanted
    shipped = fold_recipe(load_recipe("few_shot/hymamba"), protocol, 0, None)
    assert shipped.data.options["base"] == "modelnet40"
    assert shipped.data.val_fraction == 0
    pickles = load_recipe("few_shot/hymamba", ["--data.name=modelnet_fewshot"])
    pickles = dataclasses.replace(pickles, data=dataclasses.replace(pickles.data, options={}))
    options = fold_recipe(pickles, protocol, 2, None).data.options
    assert options == {"way": 10, "shot": 20, "fold": 2}


def test_table_and_figures_by_hand():
    scores = (FewShotScore("a", (0.8, 0.9, 1.0)), FewShotScore("b", (0.7, 0.9, 0.8)))
    result = FewShotResult("words", scores)
    assert scores[0].mean == pytest.approx(0.9)
    assert scores[0].std == pytest.approx((0.02 / 3) ** 0.5)
    assert result.differences == pytest.approx((0.1, 0.0, 0.2))
    # t(0.975, 2) = 4.3027; the sample deviation of the differences is 0.1.
    low, high = result.as_dict()["difference"]["interval_95"]
    assert (low, high) == pytest.approx((0.1 - 0.24842, 0.1 + 0.24842), abs=1e-5)
    lines = result.table().splitlines()
    assert "90.0 ± 8.2 %" in lines[-1] and "+10.0 %" in lines[-1]
    assert "paired 95 % interval -14.8 to +34.8 %" in lines[-1]
    alone = FewShotResult("words", scores[:1])
    assert "difference" not in alone.table() and "difference" not in alone.as_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--pretrain.mask_ratio=0.6"], "recipe must classify"),
        (["--trainer.max_minutes=1"], "trainer.max_minutes must be unset"),
    ],
)
def test_what_is_no_fold_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_few_shot([load_recipe("shapes/pcm_nano", [*TINY, *change])], PROTOCOL, tmp_path)


def test_other_data_and_bad_numbers_are_refused(recipe, tmp_path):
    other = load_recipe("modelnet40/pcm_nano")
    with pytest.raises(ValueError, match="against must train on the same data"):
        run_few_shot([recipe, other], PROTOCOL, tmp_path)
    with pytest.raises(ValueError, match="recipes must be one or two, got 3"):
        run_few_shot([recipe] * 3, PROTOCOL, tmp_path)
    with pytest.raises(ValueError, match="folds must be at least 1, got 0"):
        FewShotProtocol(folds=0)

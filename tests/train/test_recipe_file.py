from __future__ import annotations

import dataclasses

import pytest

from pcmamba.train.recipe import DataConfig, OptimConfig, Recipe
from pcmamba.train.recipe_file import (
    differences,
    dump_recipe,
    list_recipes,
    load_recipe,
    parse_recipe,
)

TEXT = """
model: {name: pcm_nano, overrides: {neighbours: 6}}
data:
  augment:
    - scale: {low: 0.5, high: 2}
    - shift: {distance: 1e-1}
optim: {lr: 1e-3, ema_decay: null}
seed: 4
"""


def test_values_come_typed_from_text_and_options():
    recipe = parse_recipe(
        TEXT, ["--data.root", "D", "--optim.betas=[0.8, 0.9]", "--model.overrides.depth", "3"]
    )
    assert recipe.optim == OptimConfig(lr=0.001, betas=(0.8, 0.9))
    assert recipe.model.overrides == {"neighbours": 6, "depth": 3}
    assert recipe.data.root == "D"
    assert recipe.data.augment == [{"scale": {"low": 0.5, "high": 2}}, {"shift": {"distance": 0.1}}]
    assert recipe.seed == 4


@pytest.mark.parametrize("name", list_recipes())
def test_dump_of_a_shipped_recipe_parses_to_the_same(name):
    recipe = load_recipe(name)
    assert parse_recipe(dump_recipe(recipe)) == recipe
    folder, _, model = name.partition("/")
    assert (recipe.data.name if recipe.pretrain.mask_ratio == 0 else "pretrain") == folder
    assert model in {recipe.model.name + kind for kind in ("", "_short", "_stream")}


def test_shipped_recipes_are_those_the_readme_names():
    assert set(list_recipes()) >= {
        "folder/pcm_tiny",
        "modelnet40/pcm",
        "modelnet40/pcm_naive",
        "modelnet40/pcm_nano",
        "modelnet40/pcm_tiny",
        "shapes/pcm_nano",
    }


def test_paper_recipe_of_modelnet40():
    recipe = load_recipe("modelnet40/pcm")
    scale, shift = recipe.data.augment
    assert scale["scale"] == {"low": pytest.approx(2 / 3), "high": 1.5}
    assert shift["shift"] == {"distance": 0.2}
    assert (recipe.optim.weight_decay, recipe.optim.label_smoothing) == (0.05, 0.2)
    assert (recipe.optim.clip_norm, recipe.trainer.max_epochs) == (1.0, 250)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("sed: 3", [], "recipe key .* got 'sed'. Did you mean 'seed'"),
        ("data: {bach_size: 3}", [], "Did you mean 'data.batch_size'"),
        ("data: 3", [], "data must be a section with keys, got 3"),
        ("a: [", [], "recipe must be YAML"),
        ("7", [], "recipe must hold the keys of a recipe, got int"),
        ("seed: x", [], '"seed".*Expected'),
        ("seed: 1", ["--data.rot", "D"], "got '--data.rot'. Did you mean '--data.root'"),
        ("seed: 1", ["--trainer.precision=17"], "trainer.precision"),
        ("seed: 1", ["--data.batch_size=0"], "data.batch_size must be at least 1, got 0"),
        ("seed: 1", ["--data.val_fraction=1"], r"data.val_fraction must lie in \[0, 1\), got 1"),
        ("seed: 1", ["--optim.lr=0"], "optim.lr must be positive, got 0"),
        ("seed: 1", ["--optim.ema_decay=1"], r"optim.ema_decay must lie in \(0, 1\), got 1"),
        ("seed: 1", ["--optim.label_smoothing=-1"], "optim.label_smoothing must lie in"),
        ("seed: 1", ["--optim.clip_norm=0"], "optim.clip_norm must be positive, got 0"),
        ("seed: 1", ["--trainer.max_epochs=0"], "trainer.max_epochs must be at least 1, got 0"),
    ],
)
def test_mistakes_are_named(text, options, message):
    with pytest.raises(ValueError, match=message):
        parse_recipe(text, options)


def test_unknown_recipe_names_its_neighbour():
    with pytest.raises(ValueError, match="Did you mean 'shapes/pcm_nano'"):
        load_recipe("shapes/pcm_nona")


def test_missing_recipe_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mine\.yaml must be a file"):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_recipe_from_a_path(tmp_path):
    (tmp_path / "mine.yaml").write_text(TEXT)
    assert load_recipe(str(tmp_path / "mine.yaml"), ["--seed=5"]).seed == 5


def test_differences_name_each_entry_but_the_folder():
    new = dataclasses.replace(Recipe(), seed=2, out="x", data=DataConfig(batch_size=4))
    assert differences(Recipe(), new) == ["data.batch_size: 32 -> 4", "seed: 0 -> 2"]

"""Every shipped recipe, made small, takes a step on the CPU and is evaluated."""

from __future__ import annotations

import dataclasses

import pytest

from pcmamba.data.datasets import DATASETS
from pcmamba.models import MODELS, create_model
from pcmamba.models.mamba3d import Mamba3DConfig
from pcmamba.models.spikmamba_config import SpikMambaConfig
from pcmamba.train.checkpoint import newest_checkpoint
from pcmamba.train.recipe import TrainerConfig
from pcmamba.train.recipe_file import list_recipes, load_recipe
from pcmamba.train.run import train


def small(name, tmp_path):
    """Keep what the recipe says but for sizes, and read its data set's made-up files."""
    recipe = load_recipe(name, [f"--out={tmp_path / 'run'}"])
    fake = DATASETS[recipe.data.name].make_fake(str(tmp_path / "data"))
    options = {f.name: getattr(fake, f.name) for f in dataclasses.fields(fake)}
    model = tiny_sizes(MODELS[recipe.model.name]())
    sizes = tiny_input(recipe) if getattr(fake, "domain", "clouds") == "events" else {}
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, overrides=recipe.model.overrides | model),
        data=dataclasses.replace(
            recipe.data,
            root=options.pop("root"),
            options=options,
            preprocessing=recipe.data.preprocessing | sizes,
            num_points=20,
            batch_size=4,
            val_fraction=min(recipe.data.val_fraction, 0.1),
        ),
        trainer=TrainerConfig(max_epochs=1, accelerator="cpu"),
    )


def tiny_input(recipe):
    """Frames or events so few that they take no time to make."""
    if create_model(recipe.model.name, num_classes=2).preprocessing.kind == "event_cloud":
        return {"num_events": 20}
    return {"num_frames": 2, "size_hw": [16, 16]}


def tiny_sizes(config):
    """Sizes at which one step takes no time, by the family of the model."""
    if isinstance(config, Mamba3DConfig):
        sizes = {"width": 16, "depth": 1, "num_patches": 8, "patch_size": 4, "neighbours": 3}
        return sizes | {"enhancer_groups": 8}
    if isinstance(config, SpikMambaConfig):
        return {"channels": 16, "heads": 2, "depth": 1}
    stages = len(config.widths)
    return {"embed_dim": 8, "widths": [8] * stages, "reducers": [1] * stages, "neighbours": 4}


@pytest.mark.parametrize("name", list_recipes())
def test_a_small_form_of_the_recipe_trains(name, tmp_path):
    recipe = small(name, tmp_path)
    result = train(recipe)
    state = newest_checkpoint(result.folder / "checkpoints")
    assert state["step"] >= 1
    assert (state["average"] is not None) == (recipe.optim.ema_decay is not None)
    if recipe.pretrain.mask_ratio == 0:
        assert 0 <= result.report.overall_accuracy <= 1
    kept = dataclasses.asdict(result.model.preprocessing)
    assert kept.get("num_points", kept.get("num_events", 20)) == 20

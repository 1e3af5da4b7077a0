"""From a recipe and a data set to a model with fresh weights that fits both."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.structures import CloudSet
from pcmamba.models import (
    Classifier,
    EventCloudPreprocessing,
    Preprocessing,
    create_model,
)
from pcmamba.registry import unknown_name
from pcmamba.train.domain import check_domain, domain_of
from pcmamba.train.inputs import AnyPreprocessing
from pcmamba.train.recipe import Recipe


def build_model(recipe: Recipe, data_set: LabelledSet) -> Classifier:
    """Make the recipe's model for the classes of a set, with weights drawn from the seed.

    Sizes of the input follow from the recipe's data section and the set's sensor.

    Raises:
        ValueError: Unknown model or option, a model for other recordings than the set's, or
            `init_from` holds weights of another shape.
    """
    model_name = recipe.model.name
    check_domain(model_name, domain_of(model_name), data_set.name, data_set.domain)
    preprocessing = build_preprocessing(recipe)
    if not isinstance(data_set, CloudSet) and not isinstance(preprocessing, Preprocessing):
        sensor = preprocessing.resolution_hw or data_set.resolution_hw
        preprocessing = dataclasses.replace(preprocessing, resolution_hw=sensor)
    torch.manual_seed(recipe.seed)
    options = {**_sizes(preprocessing), **recipe.model.overrides}
    model = create_model(model_name, num_classes=len(data_set.class_names), **options)
    if recipe.model.init_from is not None:
        _init_from(model, recipe.model.init_from)
    model.class_names = tuple(data_set.class_names)
    model.preprocessing = preprocessing
    return model


def build_preprocessing(recipe: Recipe) -> AnyPreprocessing:
    """Return what the recipe's model will expect of a recording.

    Raises:
        ValueError: Unknown model or option.
    """
    with torch.device("meta"):
        model = create_model(recipe.model.name, num_classes=2, **recipe.model.overrides)
    base: AnyPreprocessing = model.preprocessing
    options = dict(recipe.data.preprocessing)
    if isinstance(base, Preprocessing):
        data = recipe.data
        given = {"num_points": data.num_points, "centre": data.centre, "scale": data.scale}
        options = {**given, **options}
    known = {field.name for field in dataclasses.fields(base)}
    for option in options:
        if option not in known:
            raise ValueError(
                unknown_name(f"option of data.preprocessing for {model.name}", option, known)
            )
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    made: AnyPreprocessing = type(base)(**{**dataclasses.asdict(base), **tuples})
    return made


def _sizes(preprocessing: AnyPreprocessing) -> dict[str, Any]:
    """Return the fields of a model's configuration that follow from its input."""
    if isinstance(preprocessing, Preprocessing):
        return {"num_points": preprocessing.num_points}
    if isinstance(preprocessing, EventCloudPreprocessing):
        return {"num_points": preprocessing.num_events}
    assert preprocessing.resolution_hw is not None
    return {
        "in_channels": preprocessing.channels,
        "num_frames": preprocessing.num_frames,
        "image_hw": preprocessing.frame_hw(preprocessing.resolution_hw),
    }


def _init_from(model: Classifier, source: str) -> None:
    """Start from saved weights; a head for other classes stays fresh, and nothing else may differ.

    Raises:
        ValueError: Names or shapes outside the head differ.
    """
    from pcmamba.models.weights import load_strictly
    from pcmamba.train.predictor import load

    state, own = load(source, device="cpu").model.state_dict(), model.state_dict()
    last = [name for name in own if name.startswith("head.")][-2:]
    if any(name in state and state[name].shape != own[name].shape for name in last):
        print(f"head: fresh, since {source} has other classes")
        state |= {name: own[name] for name in own if name.startswith("head.")}
    load_strictly(model, state, source)

"""Point Cloud Mamba with seeded weights against an independent run of the released program."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pcmamba.convert import from_released, to_released
from pcmamba.models import PointClassifier
from pcmamba.testing import shared_folder

SHARED = shared_folder()
pytestmark = pytest.mark.skipif(SHARED is None, reason="needs the folder of reference outputs")
NAME = "pcm_tiny_modelnet40"


@pytest.fixture(scope="module")
def fill() -> ModuleType:
    assert SHARED is not None
    spec = importlib.util.spec_from_file_location("fill", SHARED / "golden" / "fill.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    assert SHARED is not None
    return json.loads((SHARED / "golden" / f"{NAME}.json").read_text())


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    assert SHARED is not None
    with np.load(SHARED / "golden" / f"{NAME}.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def released(fill: ModuleType) -> dict[str, torch.Tensor]:
    assert SHARED is not None
    return fill.seeded_state_dict(*fill.read_spec(SHARED / "golden" / f"{NAME}.json"))


@pytest.fixture(scope="module")
def model(released: dict[str, torch.Tensor], meta: dict[str, Any]) -> PointClassifier:
    rows = {order: first for order, (first, _) in meta["prompt_rows"]["rows"].items()}
    return from_released(released, model="pcm_tiny", prompt_rows=rows)


@pytest.fixture(scope="module")
def clouds(reference: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(reference["input/pos"])


def test_logits_of_the_batch(model, clouds, reference, meta) -> None:
    with torch.inference_mode():
        logits = model(clouds).numpy()
    assert np.abs(logits - reference["logits"]).max() <= meta["tolerances"]["logits"]


def test_logits_of_each_cloud_alone(model, clouds, reference, meta) -> None:
    with torch.inference_mode():
        logits = torch.cat([model(cloud[None]) for cloud in clouds]).numpy()
    assert np.abs(logits - reference["logits_alone"]).max() <= meta["tolerances"]["logits"]
    assert np.abs(logits - reference["logits"]).max() > 0.1


def test_double_precision_agrees_more_closely(model, clouds, reference) -> None:
    wide = from_released(to_released(model), prompt_rows=_rows(model)).double()
    with torch.inference_mode():
        logits = wide(clouds.double()).numpy()
    assert np.abs(logits - reference["logits_float64"]).max() <= 1e-6


def test_loss_and_gradient_norms(model, clouds, reference, meta) -> None:
    model.zero_grad()
    labels = torch.from_numpy(reference["labels"])
    logits = model(clouds)
    smoothing, classes = meta["config"]["criterion_args"]["label_smoothing"], logits.shape[1]
    target = torch.full_like(logits, smoothing / (classes - 1))
    target[torch.arange(len(labels)), labels] = 1 - smoothing
    loss = -(target * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    assert abs(loss.item() - reference["loss"]) <= 1e-5
    gradients = {name: p.grad for name, p in model.named_parameters()}
    norms = np.array([_released_gradient(model, gradients, name) for name in meta["parameters"]])
    wanted = reference["grad_norms"]
    assert (np.abs(norms - wanted) <= 1e-2 * wanted + 1e-3 * wanted.max()).all()


def test_intermediates_of_every_stage(model, clouds, reference, meta, fill) -> None:
    seen: dict[str, torch.Tensor] = {}
    hooks = [model.embedding.register_forward_hook(lambda _m, _i, out: seen.update(embedding=out))]
    for i, stage in enumerate(model.stages):
        hooks.append(stage.grouper.register_forward_hook(_groups_into(seen, f"stage{i}")))
        hooks.append(stage.pool.register_forward_hook(_into(seen, f"stage{i}.pre")))
        for j, block in enumerate(stage.blocks):
            hooks.append(block.register_forward_hook(_layer_into(seen, f"stage{i}.mamba{j}")))
    with torch.inference_mode():
        model(clouds)
    for hook in hooks:
        hook.remove()
    layouts = {"embedding": (0, 2, 1)}
    compared = 0
    for name, value in seen.items():
        if f"inter/{name}/slice" not in reference:
            continue
        wanted = reference[f"inter/{name}/slice"]
        close = [
            np.abs(fill.probe(v)[1] - wanted).max() for v in _layouts(value, layouts.get(name))
        ]
        assert min(close) <= 2e-5 * max(1.0, np.abs(wanted).max()), name
        compared += 1
    assert compared >= 25


def test_round_trip_is_bit_equal(model, released) -> None:
    back = to_released(model)
    assert back.keys() == released.keys()
    for name, tensor in released.items():
        assert torch.equal(back[name], tensor), name


def _rows(model: PointClassifier) -> dict[str, int]:
    return {order: 6 * block for order, block in model.config.prompt_blocks.items()}


def _released_gradient(model, gradients, name: str) -> float:
    table = {new: old for old, new in _renamed_parameters(model).items()}
    return gradients[table[name]].double().norm().item()


def _renamed_parameters(model) -> dict[str, str]:
    return dict(zip(model.state_dict(), to_released(model), strict=True))


def _into(seen, name):
    return lambda _m, _i, out: seen.update({name: out})


def _groups_into(seen, name):
    def hook(grouper, inputs, out):
        centres = out[0]
        seen[f"{name}.xyz"] = centres.xyz
        seen[f"{name}.groups"] = grouper.groups(inputs[0], inputs[1], centres)

    return hook


def _layer_into(seen, name):
    def hook(_m, inputs, out):
        seen[f"{name}.x_in"] = inputs[0]
        seen[f"{name}.x_out"] = out[0]
        seen[f"{name}.residual_out"] = out[1]

    return hook


def _layouts(value: torch.Tensor, axes):
    """The stored probe runs over the released program's own memory layout."""
    yield value
    if value.dim() == 3:
        yield value.transpose(1, 2)
    if value.dim() == 4:
        yield value.permute(0, 1, 3, 2)
        yield value.permute(0, 3, 1, 2)

"""Mamba3D and HyMamba with seeded weights against independent programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pcmamba.convert import from_released, to_released
from pcmamba.models import PointClassifier
from pcmamba.testing import Golden, load_golden, shared_folder

pytestmark = pytest.mark.skipif(
    shared_folder() is None, reason="needs the folder of reference outputs"
)
CLOSE = 2e-5


@pytest.fixture(scope="module", params=["mamba3d_small", "hymamba_reading_small"])
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


def build(golden: Golden, *, reference: bool) -> PointClassifier:
    config = golden.meta["config"]
    return from_released(
        golden.weights,
        reference=reference,
        num_patches=config["num_group"],
        patch_size=config["group_size"],
        neighbours=config["center_local_k"],
    )


def points(golden: Golden) -> torch.Tensor:
    return torch.from_numpy(golden.arrays["input/points"])


def logits(model: PointClassifier, clouds: torch.Tensor) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return model(clouds).numpy()


def test_released_behaviour(golden: Golden) -> None:
    model, clouds = build(golden, reference=True), points(golden)
    tolerance = golden.meta["tolerances"]["logits"]
    alone = np.concatenate([logits(model, cloud[None]) for cloud in clouds])
    for got, wanted in (
        (logits(model, clouds), "logits"),
        (logits(model, clouds.flip(0)), "logits_flipped_batch"),
        (alone, "logits_alone"),
    ):
        assert np.abs(got - golden.arrays[wanted]).max() <= tolerance, wanted
    assert np.abs(alone - golden.arrays["logits"]).max() > 0.05  # the batch leaks, as released


def test_corrected_behaviour_does_not_see_the_batch(golden: Golden) -> None:
    model, clouds = build(golden, reference=False), points(golden)
    wanted, tolerance = golden.arrays["corrected/logits"], golden.meta["tolerances"]["logits"]
    assert np.abs(logits(model, clouds) - wanted).max() <= tolerance
    assert np.abs(logits(model, clouds.flip(0))[::-1] - wanted).max() <= tolerance
    alone = np.concatenate([logits(model, cloud[None]) for cloud in clouds])
    assert np.abs(alone - wanted).max() <= tolerance


def test_double_precision_agrees_more_closely(golden: Golden) -> None:
    model = build(golden, reference=True).double()
    got = logits(model, points(golden).double())
    assert np.abs(got - golden.arrays["logits_float64"]).max() <= 1e-6


@pytest.mark.parametrize("prefix", ["", "corrected/"], ids=["released", "corrected"])
def test_loss_and_gradient_norms(golden: Golden, prefix: str) -> None:
    model = build(golden, reference=not prefix)
    labels = torch.from_numpy(golden.arrays["labels"])
    loss = torch.nn.functional.cross_entropy(model(points(golden)), labels)
    loss.backward()
    assert abs(loss.item() - golden.arrays[f"{prefix}loss"]) <= 1e-5
    released = dict(zip(to_released(model), model.state_dict(), strict=True))
    gradients = {name: p.grad for name, p in model.named_parameters()}
    norms = [gradients[released[name]].double().norm() for name in golden.meta["parameters"]]
    wanted = golden.arrays[f"{prefix}grad_norms"]
    assert (np.abs(np.array(norms) - wanted) <= 1e-3 * wanted + 1e-6 * wanted.max()).all()


def test_intermediates(golden: Golden) -> None:
    model, seen = build(golden, reference=True), {}
    block = model.blocks[0]
    watched = {"position": model.position, "block0.norm1": block.norm1, "final_norm": model.norm}
    watched |= {"tokens": model.embedding, "block0.norm2": block.norm2, "block0.lnp": block.pool}
    watched |= {"block0.mixer": block.mixer}
    watched |= {f"block{i}.out": layer for i, layer in enumerate(model.blocks)}
    for name, module in watched.items():
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    block.pool.register_forward_hook(lambda m, i, _o: seen.update({"block0.pool": m.pool(*i)}))
    model.head.register_forward_hook(lambda _m, i, _o: seen.update({"head_in": i[0]}))
    logits(model, points(golden))
    own = seen["block0.norm1"][:, :1]  # the class token passes the pooling as it is
    seen["block0.lnp"] = torch.cat([own, seen["block0.lnp"]], dim=1)
    if model.config.enhancer:
        with torch.no_grad():
            p = block.mixer.in_proj(seen["block0.norm2"]).unflatten(-1, (-1, 2)).amax(-1)
            seen |= {"block0.cofe_in": p, "block0.cofe_out": block.mixer.enhancer.enhanced(p)}
    for name, value in seen.items():
        layouts = [value, value.transpose(-1, -2)]
        assert golden.close(name, layouts), name
    assert len(seen) >= 12


def test_round_trip_is_bit_equal(golden: Golden) -> None:
    back = to_released(build(golden, reference=True))
    assert back.keys() == golden.weights.keys()
    for name, tensor in golden.weights.items():
        assert torch.equal(back[name], tensor), name

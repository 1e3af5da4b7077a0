"""Counts against the published ones, and against counting by hand."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import create_model
from pcmamba.models.cost import model_cost, registered_cost
from pcmamba.nn import FeatureEnhancer
from pcmamba.nn.cost import FORMULAS, Operations, counted


@pytest.mark.parametrize(
    ("name", "operations"),
    # The published programs by fvcore, 1 x 2048 x 3: 3.861342 G and 3.955484 G.
    [("mamba3d", 3_861_342_080), ("hymamba", 3_955_483_520)],
)
def test_published_counts_to_the_last_digit(name, operations):
    cost = registered_cost(name, num_classes=40, num_points=2048)
    assert cost.operations.without_scans == operations
    assert cost.parameters == {"mamba3d": 16_934_184, "hymamba": 16_962_984}[name]


def test_enhancer_by_the_published_terms():
    layer, x = FeatureEnhancer(768), torch.rand(1, 129, 1536)
    with counted(layer) as found:
        layer(x)
    assert found[0] == Operations(products=18_432 + 7_133_184 + 198_144, norms=495_360)


def test_point_cloud_mamba_rounds_to_the_published_count():
    # 12.5 G: products and convolutions, two operations a multiply-add, the recurrence left out.
    found = registered_cost("pcm_tiny").operations
    assert round(2e-9 * (found.products + found.scan_products), 1) == 12.5


def test_scan_by_hand():
    model = create_model("mamba3d_small", num_classes=4, depth=1, num_patches=16, patch_size=4)
    found = model_cost(model, 64).operations
    rows, width, states, rank, taps = 17, 192, 16, 6, 4
    assert found.scan_states == 2 * 4 * rows * width * states
    assert found.scan_products == 2 * rows * width * (taps + (rank + 2 * states) + rank)
    assert found.total == sum(found)


def test_counts_are_linear_in_the_points_and_the_mode_is_kept():
    model = create_model("pcm_nano", num_classes=4).train()
    one, two, three = (model_cost(model, n).operations for n in (128, 256, 384))
    assert model.training
    assert one.products < two.products
    for a, b, c in zip(one, two, three, strict=True):
        assert c - b == b - a
    assert model_cost(model).num_points == model.preprocessing.num_points
    assert not any(m._forward_hooks for m in model.modules()), "no hook stays"


def test_every_layer_with_a_matrix_has_a_formula():
    """A layer that nobody counts would make a model look cheap."""
    owners = {type(m) for name in ("pcm_nano", "hymamba_small") for m in matrices(name)}
    inside = {"ScanDirection"}  # counted by the mixer that calls the scan
    assert {owner.__name__ for owner in owners} - {f.__name__ for f in FORMULAS} <= inside


def matrices(name):
    model = create_model(name, num_classes=4)
    for module in model.modules():
        own = module.parameters(recurse=False)
        if module is not model and any(p.ndim > 1 and p.shape[0] > 1 for p in own):
            yield module

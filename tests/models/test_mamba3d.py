"""Mamba3D and HyMamba: sizes, what depends on the batch, and every switch of the ablation."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import create_model
from pcmamba.nn import FeatureEnhancer, patch_centres

SMALL = {"width": 32, "depth": 2, "num_patches": 16, "patch_size": 8, "enhancer_groups": 8}


def clouds(batch: int = 3, points: int = 96, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(batch, points, 3, generator=generator)
    return xyz / xyz.norm(dim=-1).amax(dim=1)[:, None, None]


def small(name: str = "hymamba", **options) -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model(name, num_classes=5, **{**SMALL, **options}).eval()


@pytest.mark.parametrize(
    ("name", "classes", "total"),
    [
        ("mamba3d", 40, 16_934_184),
        ("mamba3d", 15, 16_927_759),
        ("hymamba", 40, 16_962_984),
    ],
)
def test_parameter_counts_of_the_papers(name: str, classes: int, total: int) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == total


@pytest.mark.parametrize("name", ["mamba3d", "hymamba"])
def test_batch_mates_matter_under_reference_alone(name: str) -> None:
    batch = clouds() * torch.tensor([1.0, 0.4, 1.7])[:, None, None]
    apart = {}
    for reference in (False, True):
        model = small(name, reference=reference)
        with torch.no_grad():
            alone = torch.cat([model(cloud[None]) for cloud in batch])
            together = model(batch)
            apart[reference] = (together - alone).abs().max() / together.abs().max()
    assert apart[False] <= 1e-5
    assert apart[True] > 1e-4


def test_the_class_token_meets_points_only_through_the_enhancer() -> None:
    for name, meets in (("mamba3d", False), ("hymamba", True)):
        model = small(name)
        with torch.no_grad():
            token = model.forward_features(clouds())[:, 0]
        assert bool((token - token[:1]).abs().max() > 0) == meets
    with torch.no_grad():
        token = small(enhancer_skips_class=True).forward_features(clouds())[:, 0]
    assert torch.equal(token, token[:1].expand_as(token))


@pytest.mark.parametrize(
    "option",
    [
        {"pool_weight": "none"},
        {"pool_weight": "relative"},
        {"enhancer": False},
        {"enhancer_groups": 16},
        {"enhancer_mixing": "swapped"},
        {"enhancer_mixing": "sum"},
        {"enhancer_skips_class": True},
        {"neighbours": 7},
        {"order": "hilbert"},
        {"order": "cts-xyz"},
        {"scan": "token"},
        {"scan": "none"},
        {"scan": "local"},
    ],
    ids=lambda option: "-".join(map(str, *option.items())),
)
def test_every_switch_changes_the_result_and_trains(option: dict) -> None:
    model = small(**option)
    with torch.no_grad():
        assert (model(clouds()) - small()(clouds())).abs().max() > 1e-6
    model.train()
    model(clouds()).square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_the_two_scans_see_what_their_names_say() -> None:
    def earlier_moved(**options) -> bool:
        model = small("mamba3d", **options)
        tokens = torch.randn(1, 16, 32)
        changed = tokens.clone()
        changed[:, -1] += 1
        far = model.config.neighbours
        with torch.no_grad():
            a, b = (model.blocks[0].mixer(t) for t in (tokens, changed))
        return bool((a - b)[:, :-far].abs().max() > 0)

    assert not earlier_moved(scan="channel")
    assert not earlier_moved(scan="none")
    assert earlier_moved(scan="token")


def test_centres_near_the_origin_are_left_out_under_reference_alone() -> None:
    cloud = clouds(1, 24)
    cloud[0, 5] = 0.01
    taken = {skip: patch_centres(cloud, 23, skip_origin=skip) for skip in (False, True)}
    inside = {skip: bool((c == cloud[0, 5]).all(-1).any()) for skip, c in taken.items()}
    assert inside == {False: True, True: False}


def test_single_and_double_precision_agree() -> None:
    model, batch = small(), clouds()
    with torch.no_grad():
        single, double = model(batch), model.double()(batch.double())
    assert (single - double).abs().max() <= 1e-4 * double.abs().max()


def test_the_normalised_path_has_its_shift_as_mean() -> None:
    torch.manual_seed(0)
    enhancer = FeatureEnhancer(16, groups=4).double()
    torch.nn.init.normal_(enhancer.norm.bias)
    q = torch.randn(2, 9, 4, 4, dtype=torch.float64)
    mean = enhancer._global_path(q).mean(dim=1)
    torch.testing.assert_close(mean, enhancer.norm.bias.expand_as(mean))


def test_wrong_options_and_inputs_are_explained() -> None:
    with pytest.raises(ValueError, match="groups must divide the 64 channels, got 7"):
        small(enhancer_groups=7)
    with pytest.raises(ValueError, match="mixing must be 'gated', 'swapped' or 'sum', got 'x'"):
        small(enhancer_mixing="x")
    with pytest.raises(ValueError, match="scan must be channel, token, none or local, got 'up'"):
        small(scan="up")
    with pytest.raises(ValueError, match="in_channels must be 3, got 6"):
        small(in_channels=6)
    with pytest.raises(ValueError, match="xyz must have at least 16 points a cloud, got 9"):
        small()(clouds(1, 9))

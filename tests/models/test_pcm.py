"""Point Cloud Mamba: sizes, batch independence, gradients, options."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import create_model, list_models
from pcmamba.models.pcm import PCMConfig
from pcmamba.nn import LocalGrouper

SMALL = {"widths": (16, 32), "reducers": (2, 2), "blocks": (1, 1), "embed_dim": 16}
ORDERS = {"orders": ("cts-xyz", "hilbert"), "neighbours": 4}


def clouds(batch: int, points: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(batch, points, 3, generator=generator)
    return xyz / xyz.norm(dim=-1).amax(dim=1)[:, None, None]


def small(**options) -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model("pcm_nano", num_classes=5, **{**SMALL, **ORDERS, **options})


@pytest.mark.parametrize(
    ("name", "in_channels", "classes", "total", "encoder"),
    [
        ("pcm_tiny", 3, 40, 6_950_656, 6_611_160),
        ("pcm_tiny", 4, 15, 6_944_423, 6_611_352),
        ("pcm", 3, 40, 34_229_824, 33_693_720),
        ("pcm", 4, 15, 34_223_783, 33_694_104),
        ("pcm_naive", 3, 40, 23_811_816, None),
        ("pcm_naive", 4, 15, 23_805_455, None),
    ],
)
def test_parameter_counts_of_the_paper(name, in_channels, classes, total, encoder) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, in_channels=in_channels)
    assert sum(p.numel() for p in model.parameters()) == total
    head = sum(p.numel() for p in model.head.parameters())
    assert encoder is None or total - head == encoder


def models_of_clouds() -> list[str]:
    with torch.device("meta"):
        made = {name: create_model(name, num_classes=2) for name in list_models()}
    return [name for name, model in made.items() if model.domain == "clouds"]


@pytest.mark.parametrize("name", models_of_clouds())
def test_every_model_runs_and_sends_gradients_everywhere(name) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=7)
    model(clouds(2, 256)).square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # beta is followed by a batch normalisation that takes any constant away.
    assert not [n for n in silent if not n.endswith("beta")]


def test_batch_mates_and_their_order_never_change_a_result() -> None:
    model = small().eval()
    batch = clouds(5, 96) * torch.tensor([1.0, 0.3, 2.0, 0.7, 1.1])[:, None, None]
    with torch.inference_mode():
        together = model(batch)
        alone = torch.cat([model(cloud[None]) for cloud in batch])
        shuffled = model(batch[[3, 1, 4, 0, 2]])
    scale = together.abs().max()
    assert (together - alone).abs().max() <= 1e-5 * scale
    assert (together[[3, 1, 4, 0, 2]] - shuffled).abs().max() <= 1e-5 * scale


def test_reference_depends_on_the_batch_and_parity_cloud_does_not() -> None:
    batch = clouds(4, 96, seed=3) * torch.tensor([1.0, 0.31, 2.0, 0.72])[:, None, None]
    moved = {}
    for parity in ("batch", "cloud"):
        options = {"orders": ("cts-xyz", "cts-yxz"), "reference": True, "parity": parity}
        model = small(**options).eval()
        with torch.inference_mode():
            alone = torch.cat([model(cloud[None]) for cloud in batch])
            moved[parity] = (model(batch) - alone).abs().max()
    assert moved["batch"] > 1e-3
    assert moved["cloud"] < 1e-5


def test_single_and_double_precision_agree() -> None:
    model = small(orders=("cts-xyz", "z")).eval()
    batch = clouds(2, 64)
    with torch.inference_mode():
        single = model(batch)
        double = model.double()(batch.double())
    assert (single - double).abs().max() <= 1e-4 * double.abs().max()


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["pcm_nano", "pcm_tiny"])
def test_gpu_equals_cpu(name) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=40).eval()
    batch = clouds(4, 1024)
    with torch.no_grad():
        on_cpu = model(batch)
        on_gpu = model.to("cuda")(batch.to("cuda")).cpu()
    assert (on_cpu - on_gpu).abs().max() <= 1e-4 * on_cpu.abs().max()


def compiled_and_eager(model, batch: torch.Tensor, backend: str) -> list[list[torch.Tensor]]:
    """Logits and gradients by `torch.compile` without a graph break, and without it."""
    results = []
    for run in (torch.compile(model, fullgraph=True, backend=backend), model):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(2)
        logits = run(batch)
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad.clone() for p in model.parameters())])
    return results


@pytest.mark.parametrize("training", [True, False])
def test_compiles_without_a_graph_break(training) -> None:
    model = small(drop_path=0.3).train(training)
    for found, wanted in zip(*compiled_and_eager(model, clouds(3, 64), "aot_eager"), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.gpu
def test_inductor_compiles_the_whole_of_pcm_tiny() -> None:
    torch.manual_seed(0)
    model = create_model("pcm_tiny", num_classes=40, drop_path=0.0, dropout=0.0).cuda()
    found, wanted = compiled_and_eager(model, clouds(4, 1024).cuda(), "inductor")
    for name, a, b in zip(["logits", *dict(model.named_parameters())], found, wanted, strict=True):
        # beta has no gradient but rounding: see above.
        assert name.endswith("beta") or (a - b).norm() <= 2e-2 * b.norm(), name


def test_training_twice_gives_the_same_bits() -> None:
    def gradients() -> list[torch.Tensor]:
        model = small()
        torch.manual_seed(2)
        model(clouds(3, 64)).square().mean().backward()
        return [p.grad for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_projected_groups_equal_the_projection_of_the_groups() -> None:
    torch.manual_seed(0)
    grouper = LocalGrouper(6, 10, neighbours=5, reducer=2).double()
    torch.nn.init.normal_(grouper.alpha)
    torch.nn.init.normal_(grouper.beta)
    xyz, feat = clouds(2, 40).double(), torch.randn(2, 40, 6, dtype=torch.float64)
    centres, projected = grouper(xyz, feat, None)
    wanted = grouper.projection(grouper.groups(xyz, feat, centres))
    assert centres.rows is not None
    assert torch.equal(centres.rows, centres.rows.sort(dim=1).values)
    torch.testing.assert_close(projected, wanted)


def test_drop_path_and_prompts_follow_the_paper() -> None:
    tiny, full = PCMConfig(), create_model("pcm", num_classes=2).config
    assert tiny.drop_path_rates == pytest.approx([0, 0, 0.02, 0.04, 0.06, 0.08])
    assert full.drop_path_rates[-1] == pytest.approx(0.0875)
    assert tiny.prompt_rows["cts-zyx"] == 30
    assert create_model("pcm", num_classes=2).prompts.shape == (54, 384)


def test_reference_changes_start_values_and_decay() -> None:
    ours, released = small(), small(reference=True)
    mixer = released.stages[0].blocks[0].mixer
    assert not mixer.back.dt_proj.bias.any()
    assert mixer.ahead.dt_proj.bias.any()
    assert ours.stages[0].blocks[0].mixer.back.dt_proj.bias.any()
    assert released.no_weight_decay() == set()
    assert "prompts" in ours.no_weight_decay()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state_sizes": 8}, "Did you mean 'state_size'"),
        ({"orders": ("cts-xyz",)}, "orders must name one order for each of the 2 layers, got 1"),
        ({"blocks": (1,)}, "one entry for each stage"),
    ],
)
def test_wrong_options_are_explained(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_wrong_input_is_explained() -> None:
    model = small().eval()
    with pytest.raises(ValueError, match=r"xyz must be \(B, N, 3\), got \(2, 3, 64\)"):
        model(clouds(2, 64).transpose(1, 2))
    with pytest.raises(ValueError, match="features must be"):
        model(clouds(2, 64), torch.zeros(2, 64, 5))
    with pytest.raises(ValueError, match="a stage must get at least 4 points, got 3"):
        model(clouds(1, 3))


def test_unknown_model_names_near_ones() -> None:
    with pytest.raises(ValueError, match="Did you mean 'pcm_tiny'"):
        create_model("pcm-tiny", num_classes=2)


def test_a_cloud_of_few_different_points_trains() -> None:
    model = small()
    cloud = clouds(2, 64)
    cloud[0] = cloud[0, :3].repeat(22, 1)[:64]
    model(cloud).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_centres_are_the_sorted_samples_or_unused_rows() -> None:
    grouper = LocalGrouper(3, 4, neighbours=2, reducer=2)
    xyz = torch.tensor([[5.0, 0, 9, 1], [2, 2, 2, 7]])[..., None].repeat(1, 1, 3)
    assert grouper.sample(xyz, xyz, None).rows.tolist() == [[0, 1], [0, 3]]
    assert grouper.sample(torch.ones(1, 6, 3), torch.ones(1, 6, 3), None).rows.tolist() == [
        [0, 1, 2]
    ]

"""SpikMamba: sizes, independence of batch-mates, every switch, attention and orders by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pcmamba.models import create_model
from pcmamba.models.spiking_report import measure_spikes
from pcmamba.nn import LIF, Neuron, grid_order
from pcmamba.nn.rotary import rotary_table, rotate
from pcmamba.nn.spiking_attention import Windows, attend
from pcmamba.testing.clips import make_clips as clips
from pcmamba.testing.clips import settle

SMALL = {
    "num_frames": 4,
    "image_hw": (16, 24),
    "patch": 4,
    "channels": 16,
    "heads": 2,
    "in_channels": 2,
    "state_size": 4,
}


def small(**options) -> nn.Module:
    torch.manual_seed(1)
    model = create_model("spikmamba_small", num_classes=5, **{**SMALL, **options})
    model.pos_time.data.normal_()
    return settle(model, clips(8, model.config.num_frames, seed=9))


def spikes_of(model: nn.Module, frames: Tensor) -> tuple[list[Tensor], Tensor]:
    """All spikes of a call, and its logits."""
    found: list[Tensor] = []
    layers = [m for m in model.modules() if isinstance(m, Neuron)]
    hooks = [m.register_forward_hook(lambda _m, _i, out: found.append(out[0])) for m in layers]
    with torch.no_grad():
        logits = model(frames)
    for hook in hooks:
        hook.remove()
    return found, logits


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"num_classes": 11}, 2_813_707),
        ({"num_classes": 300}, 2_887_980),
        ({"num_classes": 10, "num_frames": 16}, 2_815_498),
        ({"num_classes": 10, "patch": 4}, 2_973_194),
    ],
)
def test_parameter_counts(options: dict, total: int) -> None:
    with torch.device("meta"):
        model = create_model("spikmamba", **options)
    assert sum(p.numel() for p in model.parameters()) == total


def test_batch_mates_and_earlier_calls_never_change_a_clip() -> None:
    model, batch = small(), clips()
    together, logits = spikes_of(model, batch)
    again, repeated = spikes_of(model, batch)
    assert torch.equal(logits, repeated)
    assert all(torch.equal(a, b) for a, b in zip(together, again, strict=True))
    assert all(0.001 < float(s.mean()) < 0.6 for s in together)
    for i in range(len(batch)):
        alone, own = spikes_of(model, batch[i : i + 1])
        assert all(torch.equal(a[:, 0], b[:, i]) for a, b in zip(alone, together, strict=True))
        torch.testing.assert_close(own[0], logits[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mamba": False},
        {"attention": False},
        {"neuron": "relu"},
        {"lif_norm": "none", "v_threshold": 0.05},
        {"rope": False},
        {"lepe": False},
        {"v_proj": True},
        {"window": 3},
        {"final_norm": False},
        {"scan": "frame"},
        {"scan": "forward"},
        {"scan": "frame", "order": "frame-hilbert"},
        {"order": ("hilbert", "z-trans")},
        {"order": "random"},
        {"v_reset": None, "surrogate": "atan", "detach_reset": False},
        {"long_clips": "resize"},
    ],
    ids=str,
)
def test_every_switch_changes_the_result_and_trains(options: dict) -> None:
    model, frames = small(**options), clips(frames=3 if "long_clips" in options else 4)
    if options:
        with torch.no_grad():
            assert (model(frames) - small()(frames)).abs().max() > 1e-6
    model.train()
    model(frames).square().sum().backward()
    names = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # A bias before a batch normalisation is taken away by it.
    normed = "" if model.config.lif_norm == "none" else "query_key.bias"
    assert not {n for n in names if not (normed and n.endswith(normed))}


def test_one_draw_drops_a_branch_for_a_whole_clip() -> None:
    torch.manual_seed(0)
    block = small(drop_path=0.5).train().blocks[1]
    assert (block.drop_path.rate, block.drop_path.axis) == (0.5, 1)
    kept = block.drop_path(torch.ones(4, 40, 3, 2))
    assert torch.equal(kept, kept[:1, :, :1, :1].expand_as(kept))
    assert kept.unique().tolist() == [0.0, 2.0]


def mixer_rates(model: nn.Module) -> list[float]:
    settle(model, clips(8))
    rates = {row.layer: row.rate for row in measure_spikes(model, [(clips(4),)]).neurons}
    return [rate for name, rate in rates.items() if ".mixer." in name]


def test_fresh_narrow_models_fire_where_small_weights_silence_the_mixer() -> None:
    torch.manual_seed(0)
    model = create_model("spikmamba_small", 5, **{**SMALL, "channels": 64})
    assert min(mixer_rates(model)) > 0.01
    for block in model.blocks:
        for part in (block.attention, block.mixer):
            for layer in part.children():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
    assert max(mixer_rates(model)) == 0.0


def test_attention_by_hand() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.rand(2, 5, 8, dtype=torch.float64) + 1 for _ in range(3))
    turn_q, turn_k = (torch.randn(2, 5, 8, dtype=torch.float64) for _ in range(2))
    wanted = torch.empty_like(v)
    for row in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            memory = sum(torch.outer(turn_k[row, m, head], v[row, m, head]) for m in range(5)) / 5
            mean = k[row, :, head].mean(0)
            for n in range(5):
                norm = q[row, n, head] @ mean + 1e-6
                wanted[row, n, head] = turn_q[row, n, head] @ memory / norm
    torch.testing.assert_close(attend(q, k, turn_q, turn_k, v, heads=2), wanted)


def test_windows_are_cut_joined_and_alone() -> None:
    windows = Windows(2, 3, 5)
    x = torch.arange(15.0).view(1, 15, 1)
    cut = windows.cut(x)[:, :, 0]
    assert cut[0].tolist() == [0, 1, 5, 6]
    assert cut[2].tolist() == [4, 0, 9, 0]
    assert windows.count(x).tolist() == [4, 4, 2, 2, 2, 1]
    assert torch.equal(windows.join(windows.cut(x)), x)
    # Whole maps in one padded window: padding counts for nothing.
    torch.manual_seed(0)
    layer, frames = small(window=7).blocks[0].attention, torch.randn(2, 1, 24, 16)
    with torch.no_grad():
        padded, _ = layer(frames, (4, 6))
        layer.window = None
        torch.testing.assert_close(layer(frames, (4, 6))[0], padded, rtol=1e-5, atol=1e-6)


def test_rotary_positions_by_hand() -> None:
    x = torch.tensor([1.0, 2.0]).repeat(12, 4)
    turned = rotate(x, rotary_table(3, 4, 8))
    row, column = 2, 3
    for pair, angle in enumerate([row, row * 10000**-0.5, column, column * 10000**-0.5]):
        c, s = math.cos(angle), math.sin(angle)
        wanted = torch.tensor([c - 2 * s, s + 2 * c])
        torch.testing.assert_close(turned[row * 4 + column, 2 * pair : 2 * pair + 2], wanted)


def test_orders_of_the_grid() -> None:
    assert grid_order("raster", 3, 2, 4) is None
    assert grid_order("cts-xyz", 1, 2, 3).tolist() == [0, 1, 2, 5, 4, 3]
    inside = grid_order("frame-hilbert", 2, 4, 4).view(2, 16)
    assert torch.equal(inside[0], inside[1] - 16)
    across = grid_order("hilbert", 4, 4, 4)
    assert across.sort().values.tolist() == list(range(64))
    cells = torch.stack([across // 16, across // 4 % 4, across % 4], dim=1)
    assert cells.diff(dim=0).abs().sum(dim=1).tolist() == [1] * 63


def test_neurons_follow_time_whatever_the_order() -> None:
    orders = [{}, {"order": "frame-hilbert"}, {"order": "hilbert"}]
    spikes = [spikes_of(small(**order), clips())[0] for order in orders]
    # Patches, queries and keys, attention, into the scan: all before the first order counts.
    assert all(
        torch.equal(a, b) for one in spikes[1:] for a, b in zip(spikes[0][:4], one[:4], strict=True)
    )
    assert not torch.equal(spikes[0][4], spikes[2][4])


def test_single_and_double_precision_agree() -> None:
    model, frames = small(neuron="relu"), clips()
    with torch.no_grad():
        single, double = model(frames), model.double()(frames.double())
    assert (single - double).abs().max() <= 1e-4 * double.abs().max()


def test_other_sizes_at_test_time() -> None:
    model = small(order="frame-z")
    with torch.no_grad():
        assert model(clips(2, 3, hw=(20, 32))).shape == (2, 5)
        # More frames than a clip has: separate clips, whose logits are averaged.
        long = clips(2, 8)
        parts = [model(long[:, :4]), model(long[:, 4:])]
        torch.testing.assert_close(model(long), sum(parts) / 2, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_compiles_without_a_graph_break() -> None:
    model, frames = small(window=3, order="hilbert", depth=1).train(), clips()
    results = []
    for run in (torch.compile(model, fullgraph=True, backend="aot_eager"), model):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(2)
        logits = run(frames)
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad.clone() for p in model.parameters())])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_saved_model_comes_back(tmp_path) -> None:
    model = small(order=("hilbert", "raster"), tau=3.0)
    model.save_pretrained(tmp_path)
    back = type(model).from_pretrained(tmp_path)
    assert (back.config, back.preprocessing) == (model.config, model.preprocessing)
    assert torch.equal(back(clips()), model(clips()))


def test_no_decay_of_positions_and_rates() -> None:
    assert small().no_weight_decay() == {
        "pos_space", "pos_time",
        *(f"blocks.{i}.mixer.{way}.A_log" for i in range(2) for way in ("ahead", "back")),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scan": "up"}, "scan must be bi, frame or forward, got 'up'"),
        ({"neuron": "gru"}, "neuron must be lif or relu, got 'gru'"),
        ({"in_channels": 5}, "in_channels must be 1, 2 or 3, got 5"),
        ({"attention": False, "mamba": False}, "attention or mamba must be on, got neither"),
        ({"order": ("raster",)}, "order must be one name or 2, one for each block"),
        ({"order": "hilbart"}, "order must be one of .*Did you mean 'hilbert'"),
        ({"order": "hilbert", "scan": "frame"}, "order must visit frame after frame for scan="),
        ({"heads": 3}, "heads must divide the 16 channels, got 3"),
        ({"channels": 18, "heads": 2}, "channels must be a multiple of 4"),
        ({"long_clips": "wrap"}, "long_clips must be 'restart' or 'resize' with scan='bi'"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
    ],
    ids=str,
)
def test_wrong_options_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("spikmamba_small", num_classes=5, **{**SMALL, **options})


def test_wrong_frames_are_explained() -> None:
    model = small()
    with pytest.raises(ValueError, match=r"frames must .* multiples of 4, got 15 x 24: pad"):
        model(clips(hw=(15, 24)))
    with pytest.raises(ValueError, match="frames must not be empty"):
        model(clips(1, 0))
    with pytest.raises(ValueError, match="frames must be"):
        model(clips()[:, 0])


@pytest.mark.gpu
@pytest.mark.parametrize("scan", ["bi", "frame"])
def test_gpu_equals_cpu(scan: str) -> None:
    model, frames = small(scan=scan, neuron="relu"), clips()
    with torch.no_grad():
        on_cpu = model(frames)
        on_gpu = model.to("cuda")(frames.to("cuda")).cpu()
    assert (on_cpu - on_gpu).abs().max() <= 1e-4 * on_cpu.abs().max()
    assert isinstance(small().patch_fire.neuron, LIF)

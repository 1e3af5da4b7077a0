"""Operations and energy of spiking networks against the specification's table and by hand."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from torch import Tensor, nn

from pcmamba.models import create_model
from pcmamba.models.spiking_report import measure_spikes
from pcmamba.nn import IF
from pcmamba.nn.energy import counted_work
from pcmamba.testing.clips import make_clips, settle

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
    return settle(
        create_model("spikmamba_small", num_classes=5, **{**SMALL, **options}), make_clips(8)
    )


def test_products_of_the_paper_s_size() -> None:
    torch.manual_seed(0)
    model = create_model("spikmamba", num_classes=11).eval()
    with counted_work(model) as found, torch.no_grad():
        model(torch.rand(1, 8, 3, 128, 128))
    macs = {name: work.macs for name, work in found.items()}
    assert macs["patches"] == 100_663_296
    block = {name: n for name, n in macs.items() if name.startswith("blocks.0.")}

    def millions(*ends: str) -> float:
        return round(sum(n for name, n in block.items() if name.endswith(ends)) / 1e6, 1)

    attention = [f"attention.{n}" for n in ("in_proj", "gate_proj", "query_key", "out_proj")]
    assert millions(*attention) == 671.1
    assert millions("in_conv", "lepe") == 9.4
    assert millions("attention.attention") == 34.1
    assert millions("mixer.in_proj") == 536.9
    assert millions("ahead.conv", "back.conv") == 8.4
    assert millions("x_proj") == 100.7
    assert millions("dt_proj") == 33.6
    assert millions("mixer.out_proj") == 268.4
    assert millions("scan") == 100.7
    assert millions("ffn.0", "ffn.2") == 1073.7
    scans = sum(n for name, n in macs.items() if name.endswith("scan"))
    assert round((sum(macs.values()) - scans) / 1e9, 2) == 5.57
    assert round(scans / 1e9, 2) == 0.20


def test_what_feeds_each_layer() -> None:
    model = small()
    for block in model.blocks:  # else tokens without spikes have gates of zero in the mixer
        nn.init.normal_(block.attention.out_proj.bias)
    report = measure_spikes(model, [(make_clips(2),), (make_clips(1, seed=3),)])
    assert report.clips == 3
    kinds = {row.layer: row.kind for row in report.work}
    assert kinds["patches"] == "real"
    assert kinds["blocks.0.attention.query_key"] == "real"
    assert kinds["blocks.0.attention.attention"] == "rotated"
    assert kinds["blocks.0.attention.out_proj"] == "gated"
    assert kinds["blocks.1.mixer.in_proj"] == "real"
    assert kinds["blocks.1.mixer.ahead.conv"] == "spikes"
    assert kinds["blocks.1.mixer.back.x_proj"] == "real"
    assert kinds["blocks.1.mixer.out_proj"] == "gated"
    assert kinds["head"] == "real"
    rates = {row.layer: row.rate for row in report.neurons}
    work = {row.layer: row for row in report.work}
    gated = work["blocks.0.mixer.out_proj"]
    assert abs(gated.rate - rates["blocks.0.mixer.scan_fire"]) < 1e-12
    assert abs(work["blocks.0.mixer.ahead.conv"].rate - rates["blocks.0.mixer.in_fire"]) < 1e-12
    assert gated.usual_pj == pytest.approx(0.9 * gated.rate * gated.macs)
    assert gated.strict_pj == pytest.approx(4.6 * gated.rate * gated.macs)
    totals = report.totals
    assert totals["usual_pj"] < totals["strict_pj"] < totals["dense_pj"]
    turned = work["blocks.0.attention.attention"]
    assert turned.strict_pj == pytest.approx(4.6 * turned.macs)
    plain = measure_spikes(small(rope=False), [(make_clips(1),)])
    kinds = {row.layer: row.kind for row in plain.work}
    assert kinds["blocks.0.attention.attention"] == "spikes"


def test_no_spikes_no_synaptic_operations() -> None:
    model = small(neuron="relu")
    with counted_work(model) as found, torch.no_grad():
        model(make_clips(1))
    assert {work.kind for work in found.values()} == {"real"}
    assert sum(work.sops for work in found.values()) == 0
    with pytest.raises(ValueError, match="module must have layers of neurons"):
        measure_spikes(model, [(make_clips(1),)])


def test_any_network_by_hand() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 3, bias=False)
            self.neuron = IF(v_threshold=1.0)
            self.second = nn.Linear(3, 4, bias=False)
            nn.init.ones_(self.first.weight)
            self.first.weight.data[0] = 0

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.neuron(self.first(x.transpose(0, 1)))[0])

    # Steps of 1, 0, 0.5: the last two of three neurons fire once in three steps.
    x = torch.tensor([0.5, 0.0, 0.25])[None, :, None].expand(1, 3, 2)
    model = Plain().train()
    report = measure_spikes(model, [(x,)])
    assert model.training
    first, second = report.work
    assert (first.kind, first.macs, first.sops) == ("real", 18, 0)
    assert (second.kind, second.macs) == ("spikes", 36)
    assert second.sops == pytest.approx(36 * 2 / 9)
    assert report.totals["usual_pj"] == pytest.approx(18 * 4.6 + 8 * 0.9)
    assert report.neurons[0].frame_rates == (2 / 3, 0.0, 0.0)
    assert report.warnings == ()


def test_files_and_text(tmp_path) -> None:
    report = measure_spikes(small(v_threshold=50.0), [(make_clips(1),)])
    report.save(tmp_path)
    saved = json.loads((tmp_path / "spikes.json").read_text())
    assert saved["totals"] == report.totals
    assert len(saved["warnings"]) == len(report.neurons)
    assert "never fire" in saved["warnings"][0]
    with (tmp_path / "energy.csv").open() as rows:
        assert [row["layer"] for row in csv.DictReader(rows)] == [r.layer for r in report.work]
    with (tmp_path / "neurons.csv").open() as rows:
        assert float(next(csv.DictReader(rows))["rate"]) == report.neurons[0].rate
    text = report.text()
    assert "blocks.1.mixer.out_proj" in text
    assert "below 0.005" in text
    assert "hypothetical hardware" in text


def test_no_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="batches must hold at least one clip, got none"):
        measure_spikes(small(), [])

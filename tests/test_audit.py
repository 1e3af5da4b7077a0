"""The audit finds a dependence on the batch where there is one, and none where there is none."""

from __future__ import annotations

import json

import pytest
import torch

from pcmamba.audit import audit
from pcmamba.cli import main
from pcmamba.models import create_model

SMALL = {"width": 32, "depth": 2, "num_patches": 16, "patch_size": 8, "num_points": 64}


def clouds(count: int = 9, points: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    xyz = torch.randn(count, points, 3, generator=generator)
    return xyz / xyz.norm(dim=-1).amax(dim=1)[:, None, None]


def model(**options) -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model("mamba3d", num_classes=16, **SMALL, **options)


@pytest.mark.parametrize("reference", [False, True])
def test_the_leak_of_the_released_evaluation_shows(reference: bool) -> None:
    table = {probe.name: probe for probe in audit(model(reference=reference), clouds())}
    batchwise = [p for p in table.values() if p.expected == "no"]
    assert {p.name for p in batchwise} >= {
        "batch of 8",
        "batch shuffled",
        "batch-mates scaled by 3",
    }
    for probe in batchwise:
        assert (probe.relative > 1e-3) == reference, probe
    assert table["scaled by 1.1"].largest > 1e-4
    assert table["bfloat16 for float32"].largest > 0


def test_the_model_is_left_in_its_mode_and_few_clouds_are_refused() -> None:
    trained = model().train()
    audit(trained, clouds(2))
    assert trained.training
    with pytest.raises(ValueError, match=r"clouds must be \(N, P, 3\) with N >= 2"):
        audit(trained, clouds(1))


def test_the_command_prints_a_table_and_json(tmp_path, capsys) -> None:
    from pcmamba.data.datasets import DATASETS

    saved = model()
    saved.class_names = DATASETS["shapes"](root=None).load("test").class_names
    saved.save_pretrained(tmp_path / "model")
    options = ["--data.name", "shapes", "--clouds", "4"]
    assert main(["audit", str(tmp_path / "model"), *options]) == 0
    printed = capsys.readouterr().out
    assert "batch shuffled" in printed and "may matter" in printed
    assert main(["audit", str(tmp_path / "model"), *options, "--json"]) == 0
    assert {row["expected"] for row in json.loads(capsys.readouterr().out)} >= {"no", "model"}
    assert main(["audit", str(tmp_path / "model"), *options[:2], "--clouds", "1"]) == 2

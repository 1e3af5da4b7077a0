"""The commands of docs/your-data.md, as they stand there, on a folder of made-up scans."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pcmamba import cli
from pcmamba.data import PointCloud, write_ply

PAGE = Path(__file__).resolve().parents[1] / "docs" / "your-data.md"
SMALL = [
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.progress_bar=false",
    "--data.num_points=32",
    "--data.batch_size=4",
    "--model.overrides={embed_dim: 8, widths: [8, 8, 8], reducers: [1, 1, 1], neighbours: 4}",
]


def commands() -> list[list[str]]:
    [block] = re.findall(r"## Five commands\n\n```bash\n(.*?)```", PAGE.read_text(), re.S)
    return [shlex.split(line) for line in block.strip().splitlines()]


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Boxes and rods in two formats, where the page expects them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for kind, size in (("chair", (1, 1, 1)), ("lamp", (0.2, 0.2, 1))):
        (tmp_path / "scans" / kind).mkdir(parents=True)
        for number, name in enumerate(["a", *"bcdefghij"]):
            xyz = (rng.random((80, 3)) * size).astype(np.float32)
            if number % 3:
                np.savetxt(tmp_path / "scans" / kind / f"{name}.xyz", xyz)
            else:
                write_ply(tmp_path / "scans" / kind / f"{name}.ply", PointCloud(xyz))
    return tmp_path


def test_the_five_commands_lead_to_a_prediction(scans, capsys):
    lines = commands()
    assert len(lines) == 5 and all(line[0] == "pcmamba" for line in lines)
    for line in lines:
        small = SMALL if line[1] == "train" else []
        assert cli.main([*line[1:], *small]) == 0, line
    said = capsys.readouterr().out
    assert (scans / "scans.png").stat().st_size > 1000
    assert (scans / "run" / "model" / "model.safetensors").is_file()
    assert re.search(r"scans/chair/a\.ply: (chair|lamp)", said)

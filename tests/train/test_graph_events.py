"""On a GPU, training on events as a CUDA graph has the bits of steps launched one by one."""

from __future__ import annotations

import pytest

from pcmamba.data.datasets import DATASETS
from pcmamba.testing.moving_dots import Dots
from pcmamba.train.recipe_file import parse_recipe
from pcmamba.train.run import train

COMMON = """
optim: {lr: 0.01, warmup_epochs: 0}
trainer: {accelerator: gpu, max_epochs: 3, progress_bar: false}
"""
CLIPS = """
model: {name: spikmamba_small, overrides: {channels: 16, heads: 2, depth: 1}}
data:
  name: dots
  batch_size: 6
  preprocessing: {num_frames: 4, representation: histogram, size_hw: [16, 16]}
"""
CLOUDS = """
model: {name: pcm_events_nano, overrides: {widths: [16, 16, 16], embed_dim: 16, neighbours: 4}}
data: {name: dots, batch_size: 6, preprocessing: {num_events: 32}}
"""


@pytest.mark.gpu
@pytest.mark.parametrize("text", [CLIPS, CLOUDS], ids=["clips", "clouds"])
def test_a_graphed_run_on_events_has_the_bits_of_an_eager_one(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(DATASETS._entries, "dots", Dots)
    for mode in ("always", "never"):
        options = [f"--out={tmp_path / mode}", f"--trainer.cuda_graph={mode}"]
        train(parse_recipe(text + COMMON, options))
    assert "cuda graph: none" not in capsys.readouterr().out
    first, second = (
        tmp_path / mode / "model" / "model.safetensors" for mode in ("always", "never")
    )
    assert first.read_bytes() == second.read_bytes()

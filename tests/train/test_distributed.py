"""Two processes started by torchrun train one model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pcmamba.train.metrics import read_metrics


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    recipe = ["-m", "pcmamba.cli", "train", "shapes/pcm_nano", f"--out={out}"]
    options = [
        "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4}",
        "--data.options={train_size: 112, test_size: 16, num_points: 96}",
        "--data.num_points=64",
        "--data.batch_size=8",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
    ]
    done = subprocess.run(
        [*command, *recipe, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes" in done.stdout
    assert done.stdout.count("epoch   2/2") == 1, "only the first process speaks"
    # 96 training clouds, half of them for each process, in batches of 8.
    assert [row["step"] for row in read_metrics(out / "metrics.csv")] == ["6", "12"]
    assert json.loads((out / "result.json").read_text())["test"]["clouds"] == 16

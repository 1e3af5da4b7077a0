"""A run that is killed and resumed ends with the bits of one that was left alone."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from pcmamba import cli
from pcmamba.train.checkpoint import list_checkpoints

SMALL = [
    "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4, drop_path: 0.2}",
    "--data.options={train_size: 80, test_size: 16, num_points: 96}",
    "--data.num_points=64",
    "--data.batch_size=16",
    "--trainer.max_epochs=4",
    "--trainer.checkpoint_every_n_steps=2",
    "--trainer.log_every_n_steps=1",
]


@pytest.fixture(scope="module")
def processes():
    # Imports once, then forks: a process per interruption costs no start-up.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pcmamba.train.run", "pcmamba.train.predictor"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("NUMBA_NUM_THREADS", "1")
        yield context


def start(processes, folder: Path, *more: str):
    argv = ["train", "shapes/pcm_nano", f"--out={folder}", *SMALL, *more]
    process = processes.Process(target=cli.main, args=(argv,))
    process.start()
    return process


def newest_step(folder: Path) -> int:
    found = list_checkpoints(folder / "checkpoints")
    return int(found[0].stem.removeprefix("step_")) if found else 0


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "samples_per_second")} for row in rows
    ]


@pytest.mark.slow
def test_killed_three_times_ends_with_the_same_weights(processes, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = start(processes, whole)
    undisturbed.join()
    dice, kills, deadline = random.Random(0), [], time.monotonic() + 120
    while len(kills) < 3:
        seen = newest_step(broken)
        process = start(processes, broken, "--resume=auto")
        while newest_step(broken) <= seen and process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(dice.uniform(0.0, 0.08))
        assert process.is_alive(), "the run was too short to be killed three times"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills.append(newest_step(broken))
        assert not (broken / "result.json").exists()
    last = start(processes, broken, "--resume=auto")
    last.join()
    assert last.exitcode == 0
    for name in ("model/model.safetensors", "checkpoints/best/model.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), kills
    assert metrics(broken) == metrics(whole)
    assert [row["epoch"] for row in metrics(whole)] == ["1", "2", "3", "4"]

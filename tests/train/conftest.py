"""A recipe that trains in about a second, and a run made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pcmamba.train.recipe import Recipe
from pcmamba.train.recipe_file import load_recipe

TINY = [
    "--model.overrides={widths: [16, 16, 16], embed_dim: 16, neighbours: 4, drop_path: 0.2}",
    "--data.options={train_size: 80, test_size: 32, num_points: 96}",
    "--data.num_points=64",
    "--data.batch_size=16",
    "--trainer.max_epochs=2",
    "--trainer.checkpoint_every_n_steps=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
]


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    # Tiny tensors: a second thread costs more than it brings, above all on a busy machine.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_recipe() -> Callable[..., Recipe]:
    def make(out: Path, *more: str) -> Recipe:
        return load_recipe("shapes/pcm_nano", [*TINY, f"--out={out}", *more])

    return make


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe, tmp_path_factory) -> Path:
    from pcmamba.train.run import train

    # As in the tests that compare with it, which run with poisoned memory and in one thread (this
    # fixture is older than `one_thread` where the first test of all asks for it): summing in
    # another order would change the last bits.
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(1)
    folder = train(tiny_recipe(tmp_path_factory.mktemp("runs") / "tiny")).folder
    torch.use_deterministic_algorithms(before)
    torch.set_num_threads(threads)
    return folder

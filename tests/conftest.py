"""Set-up of every test: Triton interprets on the CPU, GPU tests skip without a GPU."""

from __future__ import annotations

import os

import torch

import pcmamba  # noqa: F401 # sets how OpenMP waits, before torch reads it

if not torch.cuda.is_available():
    # Read by Triton when it is imported, so it is set before any test module loads.
    os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fill `torch.empty` with NaN, so that an element nobody wrote shows."""
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(before)
    torch.utils.deterministic.fill_uninitialized_memory = fill

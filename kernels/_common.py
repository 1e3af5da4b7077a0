"""What every CPU loop shares."""

from __future__ import annotations

import os
from typing import Any

# numba brings a second OpenMP pool beside torch's. Left alone, idle threads of both spin for the
# next loop and keep each other from the cores: ten times slower where cores are busy. Read by the
# pool when its first loop starts; torch has read its own copy already.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numba
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


def limit_threads() -> None:
    """Let the compiled loops use as many threads as torch was told to use."""
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    numba.set_num_threads(min(torch.get_num_threads(), available))

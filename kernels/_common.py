"""What every CPU loop shares."""

from __future__ import annotations

from typing import Any

import numba
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


def limit_threads() -> None:
    """Let the compiled loops use as many threads as torch was told to use."""
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    numba.set_num_threads(min(torch.get_num_threads(), available))

"""What every CPU loop shares: the pool of threads.

numba's OpenMP layer binds to the OpenMP library that torch has loaded before, so that compiled
loops and torch's own run on one pool and take turns. A loop alternating 512 x 512 products with
scans took 1.0 times as long as both alone on two quiet cores, 1.2 times on busy ones.
Hence "omp" comes first. Like torch's, this pool does not survive a fork: data workers must be
spawned, or leave these loops alone.

Idle threads of the pool spin for a while, in the way of other programs that want the cores, unless
OMP_WAIT_POLICY is passive when torch is imported: `import pcmamba` before torch sees to that.
"""

from __future__ import annotations

import os
from typing import Any

import numba
import torch
from numpy.typing import NDArray

Array = NDArray[Any]

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]  # type: ignore[attr-defined]


_pool_owner: int | None = None


def limit_threads() -> None:
    """Let the compiled loops use as many threads as torch was told to use.

    Raises:
        RuntimeError: This process was forked from one that had started the pool.
    """
    global _pool_owner
    layer = "" if _pool_owner is None else numba.threading_layer()  # type: ignore[attr-defined]
    if layer == "omp" and _pool_owner != os.getpid():
        raise RuntimeError(
            "compiled loops must not run in a process forked after they ran in its parent, got a "
            "fork; start data workers with multiprocessing_context='spawn'"
        )
    _pool_owner = os.getpid()
    wanted = torch.get_num_threads()
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    numba.set_num_threads(min(wanted, available))
    if torch.get_num_threads() != wanted:  # starting the shared pool sets its size for torch too
        torch.set_num_threads(wanted)

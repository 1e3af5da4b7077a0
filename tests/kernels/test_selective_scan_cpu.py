"""CPU scan: speed against the loop over steps, memory, copies, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from pcmamba.kernels import _common
from pcmamba.kernels._common import limit_threads
from pcmamba.kernels._rows_cpu import add_parts, flat_rows
from pcmamba.kernels.selective_scan_cpu import (
    checkpoint_shape,
    selective_scan_bwd,
    selective_scan_fwd,
)
from pcmamba.ops.selective_scan import selective_scan


def make_inputs(batch: int, length: int, channels: int, states: int) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(0)
    u, delta, z = torch.randn(3, batch, length, channels, generator=draw)
    B, C = torch.randn(2, batch, length, states, generator=draw)
    A = -torch.rand(channels, states, generator=draw)
    return {"u": u, "delta": delta, "A": A, "B": B, "C": C, "z": z, "delta_softplus": True}


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def best_time(function: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs in seconds of this thread, which other programs do not lengthen."""
    times = []
    for _ in range(repeats + 1):  # the first one compiles
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times[1:])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.timing
def test_forward_is_ten_times_faster_than_the_loop_over_steps() -> None:
    inputs = make_inputs(1, 1024, 384, 16)
    ours = best_time(lambda: selective_scan(**inputs, impl="cpu"), 20)
    loop = best_time(lambda: selective_scan(**inputs, impl="reference"), 3)
    assert loop > 10 * ours, f"{loop / ours:.1f} times"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.timing
def test_training_is_eight_times_faster_than_autograd_through_the_loop() -> None:
    inputs = make_inputs(8, 256, 96, 16)
    leaves = [value.requires_grad_() for value in inputs.values() if isinstance(value, Tensor)]

    def step(impl: Any) -> object:
        y = selective_scan(**inputs, impl=impl)
        assert isinstance(y, Tensor)
        return torch.autograd.grad(y.sum(), leaves)

    ours, loop = best_time(lambda: step("cpu"), 10), best_time(lambda: step("reference"), 3)
    assert loop > 8 * ours, f"{loop / ours:.1f} times"


@pytest.mark.parametrize("states", [1, 16, 64])
def test_keeps_a_thirtysecond_of_the_states(states: int) -> None:
    slots, *state = checkpoint_shape(6400, 3, 48, states)
    assert state == [states, 48]
    assert slots == 6400 // 32 + 3


def test_reads_float32_rows_in_place() -> None:
    rows = torch.arange(60.0).view(6, 10)
    values, stride = flat_rows(rows[1:, 2:5])
    assert stride == 10
    assert values.tolist() == list(range(12, 55))
    rows[1, 2] = -1
    assert values[0] == -1


def test_rows_are_padded_and_widened_by_copy() -> None:
    values, stride = flat_rows(torch.ones(2, 3, dtype=torch.bfloat16), 16)
    assert stride == 16
    assert values.tolist() == ([1.0] * 3 + [0.0] * 13) * 2
    assert flat_rows(torch.ones(0, 3))[0].size == flat_rows(torch.ones(3, 0))[0].size == 0


def test_parts_are_added_in_halves() -> None:
    parts = torch.tensor([2.0**24, 0.0, 1.0, 1.0, 1.0])[:, None].repeat(1, 3)
    # (2^24 + 1) + 1 rounds to 2^24 twice, 0 + 1 meets it in the end
    assert add_parts(parts).tolist() == [2.0**24] * 3
    assert add_parts(torch.arange(6.0).view(6, 1)).tolist() == [15.0]
    assert add_parts(torch.ones(0, 2)).tolist() == [0.0, 0.0]


def test_launchers_take_a_ragged_batch_and_return_empty_for_none() -> None:
    inputs = make_inputs(1, 40, 20, 3)
    rows = [inputs[name].flatten(0, 1) for name in ("u", "delta")] + [inputs["A"]]
    rows += [inputs[name].flatten(0, 1) for name in ("B", "C")]
    offsets = torch.tensor([0, 33, 40])
    nothing = (None,) * 5
    y, last, kept = selective_scan_fwd(*rows, *nothing, offsets, True, False)
    grads = selective_scan_bwd(y, None, *rows, *nothing, offsets, kept, True, False)
    assert (y.shape, last.shape, len(kept)) == ((40, 20), (2, 20, 3), 3)
    assert [tuple(g.shape) for g in grads] == [tuple(t.shape) for t in rows] + [(0,)] * 4


def test_torch_keeps_its_number_of_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        selective_scan(**make_inputs(1, 8, 16, 2), impl="cpu")
        assert torch.get_num_threads() == 1
        assert numba.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    limit_threads()
    assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)


FIRST_USE = """
import torch
torch.set_num_threads(1)
from pcmamba.kernels._common import limit_threads
limit_threads()
print(torch.get_num_threads())
"""


def test_starting_the_pool_leaves_torch_its_number_of_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(os.__file__),  # not the repository: its kernels/ would shadow others
        check=True,
    )
    assert done.stdout.split() == ["1"]


def test_a_forked_process_is_told_to_be_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_threads()
    if numba.threading_layer() != "omp":
        pytest.skip("only OpenMP's pool is lost in a fork")
    monkeypatch.setattr(_common, "_pool_owner", os.getpid() + 1)
    with pytest.raises(RuntimeError, match="multiprocessing_context='spawn'"):
        limit_threads()

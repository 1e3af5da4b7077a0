"""Times of one call: CUDA events on a GPU, the clock on a CPU."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch

L2_BYTES = 60 * 2**20  # of an H200
MOST_SETS = 256
MOST_BYTES = 12 * 2**30
HEAD_START_CYCLES = 400_000  # about 0.2 ms: the host launches while the GPU waits
SECONDS = {"cuda": 0.25, "cpu": 1.5}


def input_sets(bytes_of_one: int, device: str) -> int:
    """Copies of the inputs to rotate, so that they leave the L2 cache three times over."""
    if device == "cpu":
        return 1
    fit = max(1, MOST_BYTES // max(1, bytes_of_one))
    return min(math.ceil(3 * L2_BYTES / max(1, bytes_of_one)) + 1, fit, MOST_SETS)


def summary(times_ms: list[float]) -> dict[str, float]:
    """Median, smallest and 90th percentile in milliseconds."""
    ordered = sorted(times_ms)
    high = ordered[min(len(ordered) - 1, math.ceil(0.9 * len(ordered)) - 1)]
    return {
        "median": statistics.median(ordered),
        "min": ordered[0],
        "p90": high,
        "runs": len(ordered),
    }


def measure(
    call: Callable[[int], object], device: str, seconds: float | None = None
) -> list[float]:
    """Time `call(i)` for i = 0, 1, ... in milliseconds.

    Args:
        call: Takes the number of the run, by which it chooses among its input sets.
        device: "cuda" or "cpu".
        seconds: About so long in all; by default 0.25 on a GPU and 1.5 on a CPU.
    """
    once = _cuda if device == "cuda" else _clock
    warm = once(call, 0, 3 if device == "cuda" else 1)
    budget = 1000 * (SECONDS[device] if seconds is None else seconds)
    least, most = (20, 100) if device == "cuda" else (3, 20)
    runs = int(budget / max(min(warm), 1e-3))
    if device == "cuda" and min(warm) > 100:
        least = 5
    return once(call, len(warm), max(least, min(runs, most)))


def _cuda(call: Callable[[int], object], first: int, runs: int) -> list[float]:
    events = []
    for i in range(first, first + runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(HEAD_START_CYCLES)
        begin.record()
        call(i)
        end.record()
        events.append((begin, end))
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) for begin, end in events]


def _clock(call: Callable[[int], object], first: int, runs: int) -> list[float]:
    times = []
    for i in range(first, first + runs):
        begin = time.perf_counter()
        call(i)
        times.append(1000 * (time.perf_counter() - begin))
    return times


def record(call: Callable[[int], object], count: int) -> Callable[[int], object]:
    """Record `call(0)` to `call(count - 1)` as one CUDA graph; return what replays it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(3):
            call(i)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for i in range(count):
            call(i)
    return lambda _: graph.replay()

"""Read thousands of broken files of every format: python tools/fuzz_readers.py --count 5000.

`--kind events` breaks recordings of event cameras in place of point clouds.

Each block of files is read by a process of its own with a limit on memory and time, so that a
crash, a hang or an allocation without bound is told with the seeds that it happened between.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from pcmamba.data import read_events, read_points
from pcmamba.testing.event_fuzz import sample_recordings
from pcmamba.testing.fuzz import read_mutated, sample_files

SECONDS_PER_FILE = 5.0
SPARE_MEMORY = 2 << 30
KINDS = {"clouds": (sample_files, read_points), "events": (sample_recordings, read_events)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="files of each format")
    parser.add_argument("--block", type=int, default=250, help="files of one process")
    parser.add_argument("--kind", choices=list(KINDS), default="clouds")
    parser.add_argument("--formats", nargs="*", help="extensions; default: all")
    args = parser.parse_args()
    failed = False
    samples, read = KINDS[args.kind]
    with tempfile.TemporaryDirectory() as folder:
        for form, sources in samples(Path(folder)).items():
            if not args.formats or form.removeprefix(".") in args.formats:
                for source in sources:  # what is compiled at the first use is there for all
                    read(source)
                failed |= _fuzz(form, sources, args.count, args.block, read)
    return 1 if failed else 0


def _fuzz(form: str, sources: list[Path], count: int, block: int, read: Any) -> bool:
    start, totals, faults = time.perf_counter(), Counter(), []
    context = multiprocessing.get_context("fork")
    for first in range(0, count, block):
        results = context.SimpleQueue()
        seeds = range(first, min(first + block, count))
        worker = context.Process(target=_read_block, args=(sources, seeds, results, read))
        worker.start()
        alive = True
        deadline = time.perf_counter() + 60 + len(seeds) * SECONDS_PER_FILE / 10
        while alive and time.perf_counter() < deadline:
            worker.join(0.05)
            alive = worker.exitcode is None
        if alive:
            worker.kill()
        if worker.exitcode != 0:
            faults.append(f"seeds {first} to {seeds[-1]}: exit code {worker.exitcode}")
        while not results.empty():
            kind, said = results.get()
            totals[kind] += 1
            faults += [said] if said else []
    seconds = time.perf_counter() - start
    print(f"{form:6} {dict(totals)} in {seconds:.1f} s, {len(faults)} faults", flush=True)
    for fault in faults[:10]:
        print(f"    {fault}", flush=True)
    return bool(faults)


def _read_block(sources: list[Path], seeds: range, results: Any, read: Any) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_MEMORY, resource.RLIM_INFINITY))
    for seed in seeds:
        begun = time.perf_counter()
        try:
            outcome = read_mutated(sources[seed % len(sources)], seed, read), ""
        except BaseException:
            last = traceback.format_exc().strip().splitlines()
            outcome = (
                "fault",
                f"seed {seed}: {last[-1]} ({last[-3].strip() if len(last) > 2 else ''})",
            )
        if time.perf_counter() - begun > SECONDS_PER_FILE:
            outcome = "fault", f"seed {seed}: took {time.perf_counter() - begun:.1f} s"
        results.put(outcome)


if __name__ == "__main__":
    sys.exit(main())

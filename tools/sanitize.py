"""Run every GPU kernel on small shapes under compute-sanitizer.

Usage: python tools/sanitize.py [--tools memcheck,racecheck] [--op OP,...]

The kernels are compiled by a run without the sanitizer first. Prints one line a tool, and its
report where something is found; ends with 1 then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time

import pcmamba  # isort: skip # noqa: F401 # sets how OpenMP waits, before torch reads it
import torch
from bench_check import leaves, output_grads, run
from bench_problem import MissingOp
from bench_small import SMALL, make, small_cases

IMPLS = ("triton", "nvrtc")
FOUND = 9


def launch(ops: list[str]) -> None:
    """Run the small shapes of some ops forward and backward, by each implementation they have."""
    for case in small_cases("cuda"):
        if case.op not in ops:
            continue
        try:
            problem = make(case)
        except MissingOp as missing:
            print(f"skip {case.op}: {missing}")
            continue
        for impl in IMPLS:
            try:
                grads = None
                if case.passes == "fwd+bwd":
                    results = problem.call(leaves(problem, problem.inputs, True), impl)
                    grads = output_grads(problem, results, cut=False)
                run(problem, problem.inputs, impl, grads)
            except (ValueError, NotImplementedError) as error:
                if isinstance(error, ValueError) and "impl must be one of" not in str(error):
                    raise
                print(f"skip {case.key} {impl}: {str(error)[:60]}")
                continue
            print(f"ran {case.key} {impl}", flush=True)
    torch.cuda.synchronize()


def sanitize(tool: str, ops: str) -> bool:
    """Run one tool of the sanitizer; tell whether it found nothing."""
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", str(FOUND)]
    if tool == "memcheck":
        command += ["--report-api-errors", "no"]
    begin = time.monotonic()
    done = subprocess.run(
        [*command, sys.executable, __file__, "--launch", "--op", ops],
        # An allocation of its own for each tensor: reading past its end shows.
        env=os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
        capture_output=True,
        text=True,
    )
    verdict = "clean" if done.returncode == 0 else f"exit {done.returncode}"
    runs = done.stdout.count("\nran ") + done.stdout.startswith("ran ")
    print(f"{tool}: {verdict}, {runs} runs, {time.monotonic() - begin:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-4000:], flush=True)
    return done.returncode == 0


def main() -> int:
    """Run the tools asked for; 1 if anything is found."""
    parser = argparse.ArgumentParser(description="compute-sanitizer over every kernel")
    parser.add_argument("--tools", default="memcheck,racecheck")
    parser.add_argument("--op", default=",".join(SMALL))
    parser.add_argument("--launch", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    ops = asked.op.split(",")
    if asked.launch:
        launch(ops)
        return 0
    if shutil.which("compute-sanitizer") is None:
        print("compute-sanitizer must be on the PATH; the CUDA toolkit brings it")
        return 1
    launch(ops)
    clean = [sanitize(tool, asked.op) for tool in asked.tools.split(",")]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Time the operators and models beside their peers; nothing that computes wrongly is timed.

Usage:
    python tools/bench.py                                  all cases of the device at hand
    python tools/bench.py --op knn,lif --dtype fp32        some of them
    python tools/bench.py --base main                      this version beside another revision
    python tools/bench.py --json OUT.json --markdown docs/benchmarks.md
    python tools/bench.py --read docs/benchmarks/h100.json --markdown docs/benchmarks.md
    python tools/bench.py --read docs/benchmarks/h100.json --html bench.html
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pcmamba  # isort: skip # sets how OpenMP waits, before torch reads it
import bench_bidirectional  # noqa: F401 # registers its builders
import bench_events  # noqa: F401
import bench_layers  # noqa: F401
import torch
from bench_cases import select
from bench_check import Oracle, leaves, output_grads
from bench_html import write_html
from bench_inputs import BUILDERS
from bench_models import build
from bench_problem import DTYPES, Case, MissingOp, Problem, Whole
from bench_report import add_peers, print_table, write_json, write_markdown
from bench_time import input_sets, measure, record, summary
from bench_versions import versions

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
MOST_GRAPHED = 8  # calls in a row that a CUDA graph holds, each with inputs of its own
ROUNDS = 3  # with --base: the two versions take turns
IMPLS = {"cuda": ("auto", "triton", "graph"), "cpu": ("auto", "reference")}


def measure_case(case: Case, impls: tuple[str, ...], seconds: float | None = None) -> Row:
    """Check a case and time what is right: a row with one entry for each implementation."""
    row: Row = dataclasses.asdict(case) | {"impls": {}}
    try:
        if case.op in BUILDERS:
            problem = BUILDERS[case.op](case, DTYPES[case.dtype])
            _measure_problem(case, problem, impls, row, seconds)
        else:
            row["impls"]["auto"] = _measure_whole(case, build(case), seconds)
    except MissingOp as missing:
        row["missing"] = str(missing)
    except Exception as error:
        row["impls"].setdefault("auto", {"error": _short(error)})
    gc.collect()
    if case.device == "cuda":
        torch.cuda.empty_cache()
    return row


def _measure_problem(
    case: Case, problem: Problem, impls: tuple[str, ...], row: Row, seconds: float | None
) -> None:
    backward = case.passes == "fwd+bwd"
    floors = [work.floor() for work in problem.work[: 2 if backward else 1]]
    row["floor"] = sum(ms for ms, _ in floors) or None
    row["bound"] = " + ".join(bound for _, bound in floors)
    row["elements"] = problem.elements
    oracle = Oracle(problem, DTYPES[case.dtype], backward)
    for impl in impls:
        try:
            checked = "auto" if impl == "graph" else impl
            wrong = None if impl == "reference" else oracle.check(checked)
            times = {} if wrong else summary(_times(case, problem, impl, backward, seconds))
            row["impls"][impl] = times or {"wrong": wrong}
        except Exception as error:
            if not str(error).startswith("impl must be one of"):
                row["impls"][impl] = {"error": _short(error)}


def _times(
    case: Case, problem: Problem, impl: str, backward: bool, seconds: float | None
) -> list[float]:
    """Time an implementation, "graph" for "auto" without the host."""
    size, graph = sum(t.nbytes for t in problem.inputs.values() if t is not None), impl == "graph"
    count, impl = input_sets(size, case.device), "auto" if graph else impl
    count = min(count, MOST_GRAPHED) if graph else count
    sets = [leaves(problem, problem.inputs, backward) for _ in range(count)]
    names = [n for n in problem.differentiate if problem.inputs[n] is not None]
    with torch.set_grad_enabled(backward):
        results = problem.call(sets[0], impl)
    grads = [g for _, g in output_grads(problem, results, cut=False)] if backward else []
    del results

    def call(i: int) -> Any:
        values = sets[i % len(sets)]
        with torch.set_grad_enabled(backward):
            results = problem.call(values, impl)
        if backward:
            outputs = [y for y in results if y.requires_grad]
            return torch.autograd.grad(outputs, [values[n] for n in names], grads)
        return results

    if not graph:
        return measure(call, case.device, seconds)
    replay = record(call, count)
    return [ms / count for ms in measure(replay, case.device, seconds)]


def _measure_whole(case: Case, whole: Whole, seconds: float | None) -> Row:
    wrong = whole.check()
    if wrong:
        return {"wrong": wrong}
    for i in range(5):
        whole.run(i)
    return summary(measure(whole.run, case.device, seconds))


def _short(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = (str(error).strip() or "?").splitlines()[0]
    return f"{type(error).__name__}: {text[:200]} ({Path(place.filename).name}:{place.lineno})"


@contextlib.contextmanager
def checkout(base: str) -> Iterator[Path]:
    """Yield a folder with another version: a folder as it is, else a worktree of the revision."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), base], check=True, capture_output=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


class Worker:
    """A process that measures cases with the library of a folder."""

    def __init__(self, folder: Path) -> None:
        code = (
            "import sys, runpy; sys.path[:0] = sys.argv[1:3]; sys.argv[:] = ['bench', '--worker']"
        )
        start = f"{code}; runpy.run_path({str(Path(__file__).resolve())!r}, run_name='__main__')"
        command = [sys.executable, "-P", "-c", start, str(Path(__file__).parent), str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        home = Path(self._answer()).resolve()
        if home != folder / "pcmamba":
            raise RuntimeError(f"the library must come from {folder}, got {home}")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise RuntimeError("a measuring process ended early")

    def measure(self, case: Case, seconds: float | None) -> Row:
        """Measure a case there."""
        assert self.process.stdin is not None
        question = [dataclasses.asdict(case), ["auto"], seconds]
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        row: Row = json.loads(self._answer())
        return row

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve() -> None:
    """Answer the questions of a `Worker`."""
    print("answer", Path(pcmamba.__file__).parent, flush=True)
    for line in sys.stdin:
        fields, impls, seconds = json.loads(line)
        row = measure_case(Case(**fields), tuple(impls), seconds)
        print("answer", json.dumps(row), flush=True)


def compare_versions(cases: list[Case], base: str, seconds: float | None) -> list[Row]:
    """Measure the cases with this version and with `base`, in turns; both end in one row."""
    with checkout(base) as folder:
        workers = {"auto": Worker(ROOT), "base": Worker(folder)}
        rows = []
        for case in cases:
            turns = [
                {name: worker.measure(case, seconds) for name, worker in workers.items()}
                for _ in range(ROUNDS)
            ]
            row = turns[0]["auto"]
            for name in workers:
                row["impls"][name] = _middle([turn[name] for turn in turns])
            rows.append(row)
            _say(row)
        for worker in workers.values():
            worker.close()
    return rows


def _middle(rows: list[Row]) -> Row:
    """Return the entry with the middle median of several turns, or why there is none."""
    entries = [row["impls"].get("auto", {"error": row.get("missing", "?")}) for row in rows]
    timed = sorted((e for e in entries if "median" in e), key=lambda e: e["median"])
    if len(timed) == len(entries):
        return timed[len(timed) // 2]
    return next(e for e in entries if "median" not in e)


def _say(row: Row) -> None:
    said = {k: v.get("median", v) for k, v in row["impls"].items()} or row.get("missing")
    name = f"{row['op']} {row['shape']} {row['dtype']} {row['passes']}"
    print(f"{time.strftime('%X')} {name}: {said}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--op", help="names of ops or models, joined by commas")
    parser.add_argument("--shape", help="shapes as in the table, joined by commas")
    parser.add_argument("--dtype", help="fp32, bf16")
    parser.add_argument("--impl", help="implementations to time, joined by commas")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="by default cuda if present")
    parser.add_argument("--seconds", type=float, help="about so long for each entry")
    parser.add_argument("--base", help="git revision or folder of the version to compare with")
    parser.add_argument("--commit", help="what is measured, where there is no git")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--markdown", type=Path, help="put the table into this page")
    parser.add_argument("--html", type=Path, help="write a page with charts there")
    parser.add_argument("--read", type=Path, help="measure nothing, take this result")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure or read, print, write; return 1 if anything computed wrongly."""
    asked = arguments()
    if asked.worker:
        serve()
        return 0
    if asked.read is not None:
        result = json.loads(asked.read.read_text())
    else:
        device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
        cases = select(device, asked.op, asked.shape, asked.dtype)
        result = {"format": 1, "versions": versions(device, asked.commit), "rows": []}
        if asked.base is not None:
            result["rows"] = compare_versions(cases, asked.base, asked.seconds)
        else:
            impls = tuple(asked.impl.split(",")) if asked.impl else IMPLS[device]
            for case in cases:
                result["rows"].append(measure_case(case, impls, asked.seconds))
                _say(result["rows"][-1])
                if asked.json is not None:
                    write_json(result, asked.json)
    add_peers(result)
    print_table(result)
    if asked.json is not None:
        write_json(result, asked.json)
    if asked.markdown is not None:
        write_markdown(result, asked.markdown)
    if asked.html is not None:
        write_html(result, asked.html)
    return int(any("wrong" in v for row in result["rows"] for v in row["impls"].values()))


if __name__ == "__main__":
    sys.exit(main())

"""The benchmark itself: what it refuses, what it writes, whether its data fit together."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
from pathlib import Path

import bench
import bench_html
import bench_report
import pytest
import torch
from bench_cases import CASES, select
from bench_check import compare
from bench_inputs import BUILDERS
from bench_problem import Case, Problem, narrow
from bench_time import input_sets, summary

from pcmamba.models import list_models

ROOT = Path(__file__).resolve().parents[2]
TINY = Case("selective_scan", "2x20x16", passes="fwd+bwd", needed=1e9, device="cpu")
HEAD = {"device": "H200", "torch": "2.11", "date": "2026-01-01", "commit": "abc"}


def measured(case: Case, *impls: str) -> dict:
    return bench.measure_case(case, impls or ("auto",), seconds=0.01)


@pytest.fixture
def wrong_op(monkeypatch: pytest.MonkeyPatch):
    """Register an op whose implementation is `function`, and whose reference doubles."""

    def register(function):
        def build(case: Case, dtype: torch.dtype) -> Problem:
            x = torch.linspace(1, 2, 12).view(3, 4).to(dtype)

            def call(values, impl):
                return (2 * values["x"] if impl == "reference" else function(values["x"]),)

            return Problem({"x": x}, call, {"x": "BD"}, ("BD",), ("x",))

        monkeypatch.setitem(BUILDERS, "doubled", build)
        return Case("doubled", "3x4", passes="fwd+bwd", device="cpu")

    return register


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return 2.001 * grad


turn = itertools.count()
WRONG = {
    "value": (lambda x: 2.00001 * x, "result 0 is off by"),
    "gradient": (WrongGradient.apply, "gradient of x is off by"),
    "nan": (lambda x: 2 * x + torch.tensor(float("nan")), "result 0 is off by nan"),
    "runs": (lambda x: 2 * x + 1e-7 * next(turn), "result 0 differs between two runs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_computes_wrongly_gets_no_time(wrong_op, name: str) -> None:
    function, message = WRONG[name]
    entry = measured(wrong_op(function))["impls"]["auto"]
    assert "median" not in entry
    assert message in entry["wrong"]


def test_a_graph_of_what_is_wrong_gets_no_time(wrong_op) -> None:
    found = measured(wrong_op(lambda x: 3 * x), "graph")["impls"]["graph"]
    assert "result 0 is off by" in found["wrong"]


def test_a_page_shows_no_graph_of_what_is_wrong() -> None:
    times = {"median": 0.5, "min": 0.4, "p90": 0.7, "runs": 20}
    result = {"versions": HEAD, "rows": [row(impls={"auto": {"wrong": "off"}, "graph": times})]}
    assert "0.500" not in bench_report.markdown(result)
    assert bench_report.met(result["rows"][0]) is False


def test_another_shape_is_wrong(wrong_op) -> None:
    case = dataclasses.replace(wrong_op(lambda x: 2 * x[:2]), passes="fwd")
    assert "has shape (2, 4), not (3, 4)" in measured(case)["impls"]["auto"]["wrong"]


def test_what_computes_rightly_is_timed(wrong_op) -> None:
    entry = measured(wrong_op(lambda x: x + x))["impls"]["auto"]
    assert 0 < entry["min"] <= entry["median"] <= entry["p90"]
    assert entry["runs"] >= 3


def test_wrong_integers_are_counted() -> None:
    right = torch.arange(5)
    assert compare(right, right, right, torch.float32) is None
    assert compare(right.flip(0), right, right, torch.float32) == "has 4 wrong integers of 5"


def test_every_implementation_asked_for_gets_an_entry() -> None:
    row = measured(TINY, "auto", "reference")
    assert [set(entry) for entry in row["impls"].values()] == [{"median", "min", "p90", "runs"}] * 2


@pytest.mark.parametrize("op", ["selective_scan", "composed_core"])
def test_the_oracle_of_long_sequences_is_the_reference(op: str) -> None:
    case = Case(op, "1x8448x2", passes="fwd+bwd", device="cpu")
    problem = BUILDERS[op](case, torch.float64)
    inputs = {n: t if t is None else t.double() for n, t in problem.inputs.items()}
    (segments,) = problem.exact(inputs)
    (plain,) = problem.call(inputs, "reference")
    torch.testing.assert_close(segments, plain, rtol=1e-9, atol=1e-9)


def test_a_missing_op_is_no_error() -> None:
    row = measured(Case("no_such_op", "2x3", device="cpu"))
    assert row["missing"]
    assert row["impls"] == {}
    assert "missing" in bench_report.cells({"rows": [row]}, row) or not row["impls"]


def test_an_op_that_raises_is_reported(wrong_op) -> None:
    def broken(x):
        raise ValueError("x must be right, got x")

    entry = measured(wrong_op(broken))["impls"]["auto"]
    assert entry["error"].startswith("ValueError: x must be right, got x (test_bench.py:")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    return bench.main()


def test_a_page_names_what_was_not_measured() -> None:
    head = HEAD | {"driver": "1"}
    text = bench_report.markdown({"versions": head, "rows": [row()]})
    more = [c for c in CASES if c.device == "cuda" and c.needed is not None]
    assert f"; {len(more) - 1} more rows with one were not measured." in text
    assert "pcm_tiny 32x1024 bf16 train," in text.split("Not measured:")[1]
    assert "knn 32x512x1024x24" not in text.split("Not measured:")[1]


def test_json_goes_round_and_gives_the_same_page(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow table breaks the names of cases
    monkeypatch.setattr(bench, "select", lambda *_: [TINY])
    saved, first, second = (tmp_path / name for name in ("r.json", "a.md", "b.md"))
    write = ["--device", "cpu", "--seconds", "0.01", "--json", str(saved)]
    assert run(monkeypatch, *write, "--markdown", str(first)) == 0
    assert "selective_scan 2x20x16" in capsys.readouterr().out
    result = json.loads(saved.read_text())
    assert result["versions"]["torch"] == torch.__version__
    assert set(result["versions"]) >= {"commit", "date", "device", "numba", "python", "triton"}
    assert run(monkeypatch, "--read", str(saved), "--markdown", str(second)) == 0
    assert first.read_text() == second.read_text()
    assert "| **" in first.read_text()


def test_wrong_numbers_fail_the_command(monkeypatch, wrong_op, capsys) -> None:
    monkeypatch.setattr(bench, "select", lambda *_: [wrong_op(lambda x: 3 * x)])
    assert run(monkeypatch, "--device", "cpu", "--seconds", "0.01") == 1
    assert "doubled 3x4 fp32 fwd+bwd, auto: wrong: result 0 is off by" in capsys.readouterr().out


def row(**changes) -> dict:
    """A row as on a GPU, measured in 0.5 ms."""
    case = dataclasses.asdict(Case("knn", "32x512x1024x24", needed=0.6, target=0.1))
    times = {"median": 0.5, "min": 0.4, "p90": 0.7, "runs": 20}
    return case | {"impls": {"auto": times}, "floor": 0.05, "bound": "issue"} | changes


def test_a_page_keeps_the_text_around_its_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench_report.BEGIN}\nold\n{bench_report.END}\nafter\n")
    result = {"versions": HEAD, "rows": [row(), row(needed=0.2), row(impls={}, missing="none")]}
    bench_report.add_peers(result)
    bench_report.write_markdown(result, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert (
        "| **0.500** | 0.400 to 0.700 | 0.501 (pointops CUDA) | 0.6 | 0.1 | 10 % (issue) |" in text
    )
    assert "| 0.500 | 0.400 to 0.700 | 0.501 (pointops CUDA) | 0.2 |" in text
    assert "| missing |" in text
    # A row that is missing has not reached its figure.
    assert "1 of the 3 rows with a needed figure reach it" in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match=r"page.md must hold the lines"):
        bench_report.write_markdown(result, page)


def test_a_page_of_the_docs_is_what_its_json_gives(tmp_path: Path) -> None:
    for saved in (ROOT / "docs" / "benchmarks").glob("*.json"):
        page = ROOT / "docs" / "benchmarks.md"
        copy = tmp_path / "page.md"
        copy.write_text(page.read_text())
        bench_report.write_markdown(json.loads(saved.read_text()), copy)
        assert copy.read_text() == page.read_text()


# The figures of the design's tables: forward, then with the backward pass.
FLOORS = {
    ("selective_scan", "32x1024x768"): (0.131, 0.335),
    ("selective_scan", "128x128x768"): (0.065, 0.168),
    ("selective_scan", "1x65536x512"): (0.314, 0.699),
    ("composed_core", "32x1024x384"): (0.137, 0.342),
    ("composed_core", "1x65536x512"): (0.646, 1.41),
}


@pytest.mark.parametrize("op, shape", FLOORS)
def test_floors(op: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("bench_inputs", "bench_bidirectional"):
        monkeypatch.setattr(sys.modules[module], "scan_inputs", lambda *_: dict.fromkeys("uz"))
    small = {"conv_weight": None, "conv_bias": None}
    monkeypatch.setattr(sys.modules["bench_bidirectional"], "core_inputs", lambda *_: small)
    problem = BUILDERS[op](Case(op, shape, "bf16", "fwd+bwd", device="cpu"), torch.bfloat16)
    forward, backward = (work.floor()[0] for work in problem.work)
    expected = FLOORS[op, shape]
    assert forward == pytest.approx(expected[0], rel=0.01)
    assert forward + backward == pytest.approx(expected[1], rel=0.01)


ASKED = {
    ("selective_scan", "32x1024x768", "fwd+bwd"): 0.80,
    ("bidirectional_core", "32x1024x384", "fwd+bwd"): 0.75,
    ("bidirectional_core", "32x1024x768", "fwd+bwd"): 1.40,
    ("bidirectional_core", "32x4096x384", "fwd+bwd"): 2.8,
    ("bidirectional_core", "128x128x768", "fwd+bwd"): 0.80,
    ("bidirectional_core", "1x65536x512", "fwd+bwd"): 3.0,
    ("bidirectional_core", "32x1024x768", "fwd"): 0.45,
    ("group_max", "32x512x24x384x1024", "fwd+bwd"): 0.6,
}


def test_the_needed_figures_are_those_asked_for() -> None:
    table = {(c.op, c.shape, c.passes, c.dtype): c.needed for c in CASES if c.device == "cuda"}
    for key, needed in ASKED.items():
        assert table[(*key, "bf16")] == needed
        assert table[(*key, "fp32")] == pytest.approx(1.5 * needed)


def test_cases_are_all_unlike_and_known() -> None:
    assert len({case.key for case in CASES}) == len(CASES)
    known = {*BUILDERS, *list_models()}
    assert {case.op for case in CASES} <= known


def test_peers_belong_to_cases_and_say_what_they_are() -> None:
    peers = json.loads(bench_report.PEERS.read_text())
    assert {p["op"] for p in peers["times"]} <= {case.op for case in CASES}
    assert {p["program"] for p in peers["times"]} == set(peers["programs"])
    keys = [(p["op"], p["shape"], p["dtype"], p["passes"]) for p in peers["times"]]
    assert len(set(keys)) == len(keys)


def test_selection() -> None:
    assert {c.op for c in select("cuda", "knn,lif")} == {"knn", "lif"}
    assert {c.dtype for c in select("cuda", dtype="fp32")} == {"fp32"}
    with pytest.raises(ValueError, match=r"must name a case on cpu, got .*ops are .*knn"):
        select("cpu", "no_op")


def test_the_check_keeps_both_ends() -> None:
    x = torch.arange(12).view(2, 6)
    assert narrow(x, "BD", {"D": 3}).tolist() == [[0, 1, 5], [6, 7, 11]]
    assert narrow(x, "BD", {"D": 9}) is x


def test_times() -> None:
    found = summary([4.0, 1.0, 2.0, 3.0, 10.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    assert found == {"median": 5.5, "min": 1.0, "p90": 9.0, "runs": 10}
    assert input_sets(100 * 2**20, "cuda") == 3
    assert input_sets(1, "cuda") == 256
    assert input_sets(1, "cpu") == 1


@pytest.mark.slow
def test_another_version_is_measured_in_turns(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "select", lambda *_: [TINY])
    saved = tmp_path / "r.json"
    options = ["--device", "cpu", "--seconds", "0.01", "--json", str(saved)]
    assert run(monkeypatch, *options, "--base", str(ROOT)) == 0
    (found,) = json.loads(saved.read_text())["rows"]
    assert {name for name, entry in found["impls"].items() if "median" in entry} == {"auto", "base"}


def test_html_shows_every_time_and_loads_nothing(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    measurements = ROOT / "docs" / "benchmarks" / "h100.json"
    page = tmp_path / "bench.html"
    code = run(monkeypatch, "--read", str(measurements), "--html", str(page))
    result = json.loads(measurements.read_text())
    assert code == int(any("wrong" in e for r in result["rows"] for e in r["impls"].values()))
    text = page.read_text(encoding="utf-8")
    marks = {kind: text.count(f'class="mark {kind}"') for kind in ("ours", "peer", "floor")}
    timed = [r for r in result["rows"] if "median" in r["impls"].get("auto", {})]
    shown = [r for r in result["rows"] if r["impls"]]
    # One more of each in the legend.
    assert marks["ours"] == len(timed) + 1
    assert marks["peer"] == sum("peer" in r for r in shown) + 1
    assert marks["floor"] == sum(bool(r.get("floor")) for r in shown) + 1
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "wrong, not timed" in text


def test_html_of_what_is_wrong_shows_no_time_of_ours(tmp_path: Path) -> None:
    times = {"median": 0.5, "min": 0.4, "p90": 0.7, "runs": 20}
    wrong = row(impls={"auto": {"wrong": "off"}, "graph": times})
    bench_html.write_html({"versions": HEAD, "rows": [wrong]}, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert 'class="mark ours"' not in text
    assert 'class="mark graph"' not in text
    assert "wrong, not timed" in text

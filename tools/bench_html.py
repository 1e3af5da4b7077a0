"""The result of the benchmark as one HTML page: times beside peers, floors and wishes."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from bench_report import caption, cells, columns, met, notes, unmeasured

from pcmamba.viz.dot_chart import Row, Value, dot_charts
from pcmamba.viz.html_page import write_page
from pcmamba.viz.report_page import Fact

KINDS = (
    ("ours", "ours"),
    ("graph", "ours in a CUDA graph"),
    ("peer", "peer"),
    ("floor", "least time any program needs"),
    ("needed", "needed"),
)


def write_html(result: dict[str, Any], path: Path) -> None:
    """Write the page, whole or not at all."""
    shown = [row for row in result["rows"] if row["impls"]]
    groups = [(op, [_row(r) for r in rows]) for op, rows in groupby(shown, lambda r: r["op"])]
    present = {value.kind for _, rows in groups for row in rows for value in row.values}
    write_page(
        path,
        "benchmark.html",
        title=f"Benchmark on {result['versions']['device']}",
        caption=caption(result),
        facts=_facts(result),
        notes=[*_remarks(result), *notes(result)],
        kinds=[(kind, name) for kind, name in KINDS if kind in present],
        charts=dot_charts(_merged(groups), "ms"),
        columns=columns(result),
        table=[[_cell(text) for text in cells(result, row)] for row in result["rows"]],
    )


def _merged(groups: list[tuple[str, list[Row]]]) -> list[tuple[str, list[Row]]]:
    """Join the groups of one op, which need not follow each other in the result."""
    joined: dict[str, list[Row]] = {}
    for op, rows in groups:
        joined.setdefault(op, []).extend(rows)
    return list(joined.items())


def _row(row: dict[str, Any]) -> Row:
    times = {kind: ms for kind, ms in _times(row).items() if ms is not None}
    values = tuple(
        Value(kind, ms, f"{dict(KINDS)[kind]}: {ms:.3g} ms") for kind, ms in times.items()
    )
    remark, good = _remark(row, times)
    return Row(f"{row['shape']} {row['dtype']} {row['passes']}", values, remark, good)


def _times(row: dict[str, Any]) -> dict[str, float | None]:
    """Return the milliseconds of each kind of mark, in the order of drawing."""
    ours = row["impls"].get("auto", {})
    graph = row["impls"].get("graph", {}) if "median" in ours else {}
    peer = (row.get("peer") or {}).get("ms") or row["impls"].get("reference", {}).get("median")
    needed = row["needed"]
    if needed is not None and row["device"] == "cpu":
        needed *= row["elements"] / 1e6  # asked for in nanoseconds an element
    floor = row.get("floor") if row["device"] == "cuda" else None
    return {
        "floor": floor,
        "needed": needed,
        "peer": peer,
        "graph": graph.get("median"),
        "ours": ours.get("median"),
    }


def _remark(row: dict[str, Any], times: dict[str, float]) -> tuple[str, bool | None]:
    ours = row["impls"].get("auto", {})
    if "ours" not in times:
        return ("wrong, not timed" if "wrong" in ours else "failed"), False
    if "peer" not in times:
        return "", None
    ratio = times["peer"] / times["ours"]
    program = (row.get("peer") or {"program": "reference"})["program"]
    if 0.95 < ratio < 1.05:
        return f"as fast as {program}", None
    if ratio < 1:
        return f"{1 / ratio:.1f} times slower than {program}", False
    return f"{ratio:.1f} times faster than {program}", True


def _facts(result: dict[str, Any]) -> list[Fact]:
    rows = result["rows"]
    asked = [row for row in rows if row["needed"] is not None]
    timed = [row for row in rows if "median" in row["impls"].get("auto", {})]
    beside = [_times(row) for row in timed if _times(row)["peer"]]
    faster = sum(times["ours"] < times["peer"] for times in beside)  # type: ignore[operator]
    absent = len(unmeasured(result))
    return [
        Fact("As fast as needed", f"{sum(met(r) is True for r in asked)} of {len(asked)}", "rows"),
        Fact("Faster than the peer", f"{faster} of {len(beside)}", "rows with a peer"),
        Fact("Timed", f"{len(timed)} of {len(rows)}", "the others are wrong, failed or missing"),
        Fact("Not measured", str(absent), "cases of this device"),
    ]


def _remarks(result: dict[str, Any]) -> list[str]:
    if not any(row.get("peer") for row in result["rows"]):
        return []
    return ["The peers and the least times are of an H200, whatever ours were measured on."]


def _cell(text: str) -> dict[str, str]:
    """Return a cell with the number that it is sorted by, if it begins with one."""
    first = text.split(" ")[0] if text else ""
    try:
        float(first)
    except ValueError:
        first = text
    return {"text": text, "key": first}

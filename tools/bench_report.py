"""The result of the benchmark as a table on the screen, as JSON and as a page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bench_cases import CASES
from bench_problem import Case
from rich.console import Console
from rich.table import Table

PEERS = Path(__file__).with_name("bench_peers.json")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
Row = dict[str, Any]
TITLES = {
    "auto": "ours",
    "triton": "Triton alone",
    "graph": "in a graph",
    "base": "base",
    "reference": "reference",
}


def add_peers(result: dict[str, Any]) -> None:
    """Put beside each row the time that its peer took on an H200."""
    peers = json.loads(PEERS.read_text())["times"]
    known = {(p["op"], p["shape"], p["dtype"], p["passes"]): p for p in peers}
    for row in result["rows"]:
        passes = row["passes"].removesuffix(" graph")
        peer = known.get((row["op"], row["shape"], row["dtype"], passes))
        if peer is not None and row["device"] == "cuda":
            row["peer"] = {"ms": peer["ms"], "program": peer["program"]}


def columns(result: dict[str, Any]) -> list[str]:
    """Names of the columns."""
    impls = [n for n in TITLES if any(n in row["impls"] for row in result["rows"])]
    return [
        *("case", "type", "pass"),
        *(f"{TITLES[name]}, ms" for name in impls),
        *("min to p90", "peer, ms", "needed", "target", "of floor"),
    ]


def cells(result: dict[str, Any], row: Row) -> list[str]:
    """One row of the table as text."""
    impls = [n for n in TITLES if any(n in other["impls"] for other in result["rows"])]
    ours, peer = row["impls"].get("auto", {}), row.get("peer")
    spread = f"{_ms(ours['min'])} to {_ms(ours['p90'])}" if "median" in ours else ""
    return [
        *(f"{row['op']} {row['shape']}", row["dtype"], row["passes"]),
        *(_entry(row, name) for name in impls),
        spread,
        f"{_ms(peer['ms'])} ({peer['program']})" if peer else "",
        *(_wish(row, name) for name in ("needed", "target")),
        _of_floor(row),
    ]


def _entry(row: Row, impl: str) -> str:
    if impl not in row["impls"]:
        return "missing" if "missing" in row and impl == "auto" else ""
    entry = row["impls"][impl]
    if impl == "graph" and "median" not in row["impls"].get("auto", entry):
        entry = row["impls"]["auto"]  # a recording of what is wrong is no better
    if "median" not in entry:
        return "wrong" if "wrong" in entry else "failed"
    text = _ms(entry["median"])
    if row["device"] == "cpu" and row.get("elements"):
        text += f" ({1e6 * entry['median'] / row['elements']:.2f} ns)"
    return text


def _wish(row: Row, name: str) -> str:
    if row[name] is None:
        return ""
    return f"{row[name]:g} ns" if row["device"] == "cpu" else f"{row[name]:.3g}"


def _of_floor(row: Row) -> str:
    ours, floor = row["impls"].get("auto", {}), row.get("floor")
    if not floor or "median" not in ours or row["device"] == "cpu":
        return ""
    return f"{100 * floor / ours['median']:.0f} % ({row['bound']})"


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def met(row: Row) -> bool | None:
    """Tell whether a row is as fast as needed; None where nothing is asked.

    What is missing, wrong or failed is not as fast as needed.
    """
    if row["needed"] is None:
        return None
    ours = row["impls"].get("auto", {})
    if "median" not in ours:
        return False
    per_element = row["device"] == "cpu"
    taken = 1e6 * ours["median"] / row["elements"] if per_element else ours["median"]
    return bool(taken <= row["needed"])


def unmeasured(result: dict[str, Any]) -> list[Case]:
    """Return the cases of the device that the result does not have."""
    device = "cuda" if "driver" in result["versions"] else "cpu"
    names = ("op", "shape", "dtype", "passes")
    known = {tuple(row[name] for name in names) for row in result["rows"]}
    cases = [case for case in CASES if case.device == device]
    return [case for case in cases if tuple(getattr(case, n) for n in names) not in known]


def print_table(result: dict[str, Any]) -> None:
    """Print the table, then what is wrong or failed."""
    table = Table(title=caption(result))
    for name in columns(result):
        table.add_column(name)
    colour = {True: "green", False: "red", None: ""}
    for row in result["rows"]:
        table.add_row(*cells(result, row), style=colour[met(row)])
    width = None if os.environ.get("COLUMNS") else 190
    Console(width=width).print(table)
    for note in notes(result):
        print(note)


def caption(result: dict[str, Any]) -> str:
    """Say where and with what the table was measured."""
    known = result["versions"]
    names = [f"{n} {known[n]}" for n in ("torch", "triton", "numba", "driver") if n in known]
    return f"{known['device']}, {', '.join(names)}, {known['date']}, commit {known['commit']}"


def notes(result: dict[str, Any]) -> list[str]:
    """Return lines on rows without a time."""
    lines = []
    for row in result["rows"]:
        name = f"{row['op']} {row['shape']} {row['dtype']} {row['passes']}"
        if "missing" in row:
            lines.append(f"{name}: missing: {row['missing']}")
        for impl, entry in row["impls"].items():
            for kind in ("wrong", "error"):
                if kind in entry:
                    lines.append(f"{name}, {impl}: {kind}: {entry[kind]}")
    return lines


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write the result, whole or not at all."""
    _write(path, json.dumps(result, indent=1) + "\n")


def write_markdown(result: dict[str, Any], path: Path) -> None:
    """Put the table between the marks of a page, or make a page of it."""
    text = path.read_text() if path.exists() else f"{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} must hold the lines {BEGIN} and {END}, where the table goes")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    _write(path, f"{before}{BEGIN}\n{markdown(result)}{END}{after}")


def markdown(result: dict[str, Any]) -> str:
    """Return the table and its notes; bold where a needed figure is reached."""
    names = columns(result)
    lines = [f"Measured on {caption(result)}.", "", _line(names), _line(["---"] * len(names))]
    for row in result["rows"]:
        texts = cells(result, row)
        if met(row):
            texts[3] = f"**{texts[3]}**"
        lines.append(_line(texts))
    absent = unmeasured(result)
    asked = sum(row["needed"] is not None for row in result["rows"])
    more = sum(case.needed is not None for case in absent)
    reached = sum(met(row) is True for row in result["rows"])
    said = f"{reached} of the {asked} rows with a needed figure reach it"
    lines += ["", f"{said}; {more} more rows with one were not measured." if more else f"{said}."]
    if absent:
        names = ", ".join(f"{c.op} {c.shape} {c.dtype} {c.passes}" for c in absent)
        lines += ["", f"Not measured: {names}."]
    lines += [""] + [f"- {note}" for note in notes(result)] if notes(result) else []
    return "\n".join(lines) + "\n"


def _line(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)

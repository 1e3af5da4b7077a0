"""`pcmamba data`: list, check, prepare, show and time data sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import jsonargparse

from pcmamba.cli._command import Progress, command_parser
from pcmamba.train.recipe_file import one_line


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the action, the set and its options."""
    parser = command_parser(
        "list: what is supported, and what lies in a folder. info: describe a file of events, read "
        "with --options of read_events. check: describe a set and look for "
        "faults. prepare: read a set once, so that later starts are instant. show: draw a few "
        "clouds or recordings of each class. speed: how many a second reach a training step."
    )
    parser.add_argument("action", type=Literal["list", "info", "check", "prepare", "show", "speed"])
    parser.add_argument("name", nargs="?", help="data set; list: folder to look in; info: file")
    parser.add_argument("root", nargs="?", help="its folder")
    parser.add_argument("--options", type=dict, default={}, help="further options of the set")
    parser.add_argument("--split", type=Literal["test", "train"], default="train")
    parser.add_argument("--out", help="show: the PNG; default: <name>.png")
    parser.add_argument("--per_class", type=int | None, help="show: of each class; default: 4, 1")
    parser.add_argument("--num_points", type=int, default=1024, help="speed: points of a cloud")
    parser.add_argument("--batch_size", type=int, default=32, help="speed: clouds of a batch")
    parser.add_argument("--device", type=str | None, help="speed: default: a GPU if there is one")
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Do one of the actions; 1 where `check` found a fault."""
    from pcmamba.data.catalogue import catalogue
    from pcmamba.data.check import make_set
    from pcmamba.data.prepare import PreparedSet

    if args["action"] == "list":
        print("\n".join(catalogue(Path(args["name"]) if args["name"] else None)))
        return 0
    if args["name"] is None:
        raise ValueError(f"name must be given: pcmamba data {args['action']} NAME [ROOT]")
    if args["action"] == "info":
        return _describe_recording(args["name"], args["options"])
    dataset = make_set(args["name"], args["root"], **args["options"])
    if args["action"] == "check":
        return _check_data(dataset)
    prepared = PreparedSet(args["name"], dataset)
    if args["action"] == "prepare":
        return _prepare_data(prepared)
    data_set = prepared.load(args["split"])
    if args["action"] == "show":
        return _show_data(data_set, args)
    from pcmamba.train.loading_speed import loading_speed

    options = {key: args[key] for key in ("num_points", "batch_size", "device")}
    print(f"{loading_speed(data_set, **options):,.0f} {data_set.unit}/s")
    return 0


def _show_data(data_set: Any, args: dict[str, Any]) -> int:
    from pcmamba.viz.cloud_sheet import save_cloud_sheet
    from pcmamba.viz.event_sheet import save_event_sheet

    target = args["out"] or f"{args['name']}.png"
    save = save_event_sheet if data_set.domain == "events" else save_cloud_sheet
    given = {} if args["per_class"] is None else {"per_class": args["per_class"]}
    save(target, data_set, **given)
    print(f"wrote {target}")
    return 0


def _describe_recording(path: str, options: dict[str, Any]) -> int:
    from pcmamba.data import read_events
    from pcmamba.data.recording_report import report_recording

    if "resolution_hw" in options:
        options = options | {"resolution_hw": tuple(options["resolution_hw"])}
    print("\n".join(report_recording(read_events(path, **options))))
    return 0


def _check_data(dataset: Any) -> int:
    from pcmamba.data.event_faults import find_event_faults
    from pcmamba.data.faults import find_faults, table

    loaded: dict[str, Any] = {}

    def load(split: str) -> Any:
        loaded[split] = loaded.get(split) or dataset.load(split)
        return loaded[split]

    events = getattr(dataset, "domain", "clouds") == "events"
    findings = (find_event_faults if events else find_faults)(load)
    faulty = any(finding.verdict == "FAULT" for finding in findings)
    if len(loaded) == 2:
        try:
            lines = _describe_events(dataset, loaded) if events else dataset.check()
            print("\n".join(lines), end="\n\n")
        except ValueError as error:
            print(f"pcmamba: error: {one_line(error)}", file=sys.stderr)
            faulty = True
    print("\n".join(table(findings)))
    return 1 if faulty else 0


def _describe_events(dataset: Any, loaded: dict[str, Any]) -> list[str]:
    """Describe what is loaded already: reading all recordings may take long."""
    from pcmamba.data.event_report import report_event_splits

    licence = getattr(dataset, "licence", None)
    lines = report_event_splits(loaded["train"], loaded["test"])
    return [*lines, f"licence: {licence}"] if licence else lines


def _prepare_data(prepared: Any) -> int:
    before = prepared.is_prepared()
    with Progress() as (_, advance):
        folder = prepared.prepare(advance)
    print(f"{'already in' if before else 'wrote'} {folder}")
    return 0

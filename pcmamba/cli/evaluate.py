"""`pcmamba evaluate`: measure a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import jsonargparse

from pcmamba.cli._command import Progress, cloud_set_of, command_parser, figures
from pcmamba.train.recipe import EvaluationData


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the model, the set and where the report goes."""
    parser = command_parser("Measure a trained model on labelled clouds.")
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_class_arguments(EvaluationData, "data")
    parser.add_argument("--split", type=Literal["test", "train"], default="test")
    parser.add_argument("--votes", type=int, default=0, help="randomly scaled further views")
    parser.add_argument("--seed", type=int, default=0, help="of the votes")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    parser.add_argument(
        "--out", help="folder for figures, predictions and confusion matrix; default: in the run"
    )
    parser.add_argument(
        "--report", metavar="DIR", help="write them there, and report.html, one page with all"
    )
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Measure, print the table, write figures, predictions and, if asked for, the page."""
    from pcmamba.train.evaluate import evaluate
    from pcmamba.train.predictor import find_run, load
    from pcmamba.train.spiking import spiking_report

    if args["out"] and args["report"]:
        raise ValueError(f"out must not be given beside report, got {args['out']}")
    model, run = load(args["model"], args["device"]).model, find_run(args["model"])
    cloud_set = cloud_set_of(args, run)
    with Progress() as (_, advance):
        report = evaluate(
            model,
            cloud_set,
            batch_size=args["batch_size"],
            votes=args["votes"],
            seed=args["seed"],
            progress=advance,
        )
    print(f"{report.table()}\n\n{report.protocol}\n{figures(report)}")
    spikes = spiking_report(model, cloud_set, args["batch_size"])
    if spikes is not None:
        print(f"\n{spikes.text()}")
    if args["report"] is not None:
        from pcmamba.train.html_report import save_evaluation_report

        written = save_evaluation_report(
            Path(args["report"]), report, model, cloud_set, run, spikes
        )
    else:
        out = args["out"] or (run / "evaluation" if run else None)
        written = report.save(Path(out)) if out else []
        written += spikes.save(Path(out)) if out and spikes else []
    for path in written:
        print(f"wrote {path}")
    return 0

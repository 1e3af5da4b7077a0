"""`pcmamba report`: show a run on one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonargparse

from pcmamba.cli._command import command_parser
from pcmamba.train.recipe_file import one_line


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the run and the page."""
    parser = command_parser(
        "Show a run, finished or not, on one HTML page: figures, curves, classes, hardest samples."
    )
    parser.add_argument("run", metavar="RUN", help="its folder")
    parser.add_argument("--out", metavar="FILE", help="the page; default: report.html in the run")
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Read the run's files and its test split, and write the page."""
    from pcmamba.train.datamodule import make_dataset
    from pcmamba.train.html_report import save_run_report
    from pcmamba.train.predictor import load
    from pcmamba.train.run_folder import MODEL, read_recipe_of

    folder, test_set = Path(args["run"]), None
    recipe = read_recipe_of(folder)
    model = load(folder, "cpu").model if (folder / MODEL).is_dir() else None
    if model is not None and not recipe.pretrain.mask_ratio:
        try:
            test_set = make_dataset(recipe.data).load("test")
        except (OSError, ValueError) as error:
            print(f"no pictures of samples: {one_line(error)}", file=sys.stderr)
    out = None if args["out"] is None else Path(args["out"])
    print(f"wrote {save_run_report(folder, out, model=model, test_set=test_set)}")
    return 0

"""The command `pcmamba`: train, evaluate, predict, fewshot and others; one command a file.

Heavy imports are inside the commands, so that help and mistakes answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jsonargparse

from pcmamba import __version__
from pcmamba.cli import audit, data, evaluate, fewshot, models, predict, report, train, view
from pcmamba.cli._command import USER_ERRORS
from pcmamba.registry import unknown_name
from pcmamba.train.recipe_file import check_option, one_line

__all__ = ["COMMANDS", "main"]

Run = Callable[[dict[str, Any], list[str]], int]

COMMANDS: dict[str, tuple[Callable[[], jsonargparse.ArgumentParser], Run]] = {
    "train": (train.make_parser, train.run),
    "evaluate": (evaluate.make_parser, evaluate.run),
    "predict": (predict.make_parser, predict.run),
    "audit": (audit.make_parser, audit.run),
    "report": (report.make_parser, report.run),
    "fewshot": (fewshot.make_parser, fewshot.run),
    "view": (view.make_parser, view.run),
    "data": (data.make_parser, data.run),
    "models": (models.make_parser, models.run),
}

# Options besides those of a recipe: a mistyped one is answered with its neighbours.
RECIPE_OPTIONS = {"train": ("resume", "help"), "fewshot": fewshot.OWN_OPTIONS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a bad file among others, 2 for misuse."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except KeyboardInterrupt as stop:
        print(f"pcmamba: {stop or 'stopped'}", file=sys.stderr)
        return 130
    except (jsonargparse.ArgumentError, *USER_ERRORS) as error:
        if os.environ.get("PCMAMBA_DEBUG"):
            raise
        print(f"pcmamba: error: {one_line(error)}", file=sys.stderr)
        return 2


def _run(argv: list[str]) -> int:
    if not argv:
        argv = ["--help"]
    name = argv[0]
    if not name.startswith("-") and name not in COMMANDS:
        raise ValueError(unknown_name("command", name, COMMANDS))
    for option in argv[1:] if name in RECIPE_OPTIONS else ():
        if option.startswith("--"):
            check_option(option, RECIPE_OPTIONS[name])
    root = jsonargparse.ArgumentParser(
        prog="pcmamba",
        description="3D perception on point clouds with state-space models.",
        version=f"pcmamba {__version__}",
        exit_on_error=False,
    )
    commands = root.add_subcommands(dest="command")
    for command, (make, _) in COMMANDS.items():
        commands.add_subcommand(command, make())
    parsed = root.parse_args(argv).as_dict()
    _, run = COMMANDS[name]
    return run(parsed[name], argv[1:])

"""What the commands share: parsers, errors that a user can cause, progress, the set meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonargparse

if TYPE_CHECKING:
    from pcmamba.data.labelled_set import LabelledSet

USER_ERRORS = (ValueError, OSError, ImportError, NotImplementedError, ArithmeticError)


def command_parser(description: str) -> jsonargparse.ArgumentParser:
    """Make a parser whose mistakes are raised."""
    return jsonargparse.ArgumentParser(description=description, exit_on_error=False)


def cloud_set_of(args: dict[str, Any], run: Path | None) -> LabelledSet:
    """Load the set that the options name, by default that of the run."""
    from pcmamba.train.datamodule import make_dataset
    from pcmamba.train.recipe import DataConfig
    from pcmamba.train.run_folder import read_recipe_of

    given: dict[str, Any] = {}
    if run is not None:
        data = read_recipe_of(run).data
        given = {"name": data.name, "root": data.root, "options": data.options}
    if args["data"]["name"] not in (None, given.get("name")):
        given = {}
    options = {**given.get("options", {}), **args["data"]["options"]}
    given |= {key: value for key, value in args["data"].items() if value} | {"options": options}
    if not given.get("name"):
        raise ValueError("data.name must be given for a model outside its run: --data.name NAME")
    return make_dataset(DataConfig(**given)).load(args["split"])


def figures(report: Any) -> str:
    """Return both accuracies in words."""
    return (
        f"overall accuracy {report.overall_accuracy:.2%}, "
        f"mean-class accuracy {report.mean_class_accuracy:.2%}"
    )


class Progress:
    """Show a bar on a terminal for more than one item; yield (write a line, advance)."""

    def __init__(self, total: int | None = None) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        hidden = total == 1 or not console.is_terminal
        self.bar = Progress(console=console, transient=True, disable=hidden)
        self.task = self.bar.add_task("clouds", total=total)

    def __enter__(self) -> tuple[Callable[[str], None], Callable[[int, int], None]]:
        self.bar.start()
        return print, lambda done, total: self.bar.update(self.task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

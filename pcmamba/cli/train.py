"""`pcmamba train`: train by a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonargparse

from pcmamba.cli._command import command_parser, figures
from pcmamba.train.recipe import Recipe
from pcmamba.train.recipe_file import (
    add_recipe_arguments,
    build_recipe,
    check_keys_of,
    differences,
    list_recipes,
    read_recipe,
)


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of recipes and their overrides."""
    parser = command_parser("Train by a recipe; --section.key VALUE changes an entry of it.")
    parser.add_argument(
        "recipe", nargs="?", help=f"a YAML file, or one of {', '.join(list_recipes())}"
    )
    parser.add_argument(
        "--resume",
        metavar="DIR|auto",
        help="go on with an interrupted run; auto: that of --out, or the newest, or a new one",
    )
    add_recipe_arguments(parser)
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Train, or go on with a run."""
    recipe, folder = _recipe_and_run(args, argv)
    from pcmamba.train.run import train

    result = train(recipe, folder)
    if int(os.environ.get("RANK", "0")) == 0:
        if result.report is not None:
            print(f"{result.report.protocol}: {figures(result.report)}")
        print(f"model, metrics and curves are in {result.folder}")
    return 0


def _recipe_and_run(args: dict[str, Any], argv: list[str]) -> tuple[Recipe, Path | None]:
    """Return the recipe with its overrides, and the folder of the run to go on with."""
    if args["recipe"] is None and args["resume"] in (None, "auto"):
        raise ValueError(f"recipe must be given: one of {', '.join(list_recipes())}, or a file")
    begun = None if args["resume"] in (None, "auto") else Path(args["resume"])
    recipe = _with_overrides(args["recipe"] or str(_config_of(begun)), argv)
    if args["resume"] is None:
        return recipe, None
    from pcmamba.train.run_folder import newest_unfinished, read_recipe_of

    begun = begun or newest_unfinished(recipe)
    if begun is None:
        return recipe, None
    for line in differences(read_recipe_of(begun), recipe):
        print(f"changed since the run began, so not its exact continuation: {line}")
    return recipe, begun


def _config_of(folder: Path | None) -> Path:
    from pcmamba.train.run_folder import CONFIG, is_run

    if folder is None or not is_run(folder):
        raise FileNotFoundError(f"resume must be the folder of a run, found none in {folder}")
    return folder / CONFIG


def _with_overrides(recipe: str, argv: list[str]) -> Recipe:
    text = read_recipe(recipe)
    check_keys_of(text, recipe)
    parser = make_parser()
    parser.add_argument("--recipe_text", action="config")
    return build_recipe(parser.parse_args(["--recipe_text", text, *argv]).as_dict())

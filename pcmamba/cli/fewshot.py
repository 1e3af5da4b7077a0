"""`pcmamba fewshot`: train and test on few-shot folds, one model or two compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonargparse

from pcmamba.cli._command import command_parser
from pcmamba.train.recipe import Recipe
from pcmamba.train.recipe_file import add_recipe_arguments, list_recipes, load_recipe

OWN_OPTIONS = ("way", "shot", "folds", "query", "fold_seed", "against", "json", "help")
_FLAGS = ("--json",)


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of recipes, folds and overrides."""
    parser = command_parser(
        "Train and test a recipe on few-shot folds of its data set; --section.key VALUE changes "
        "an entry of it. With --against the same overrides hold for both recipes, but for those "
        "of the model, which are the first one's."
    )
    known = ", ".join(name for name in list_recipes() if name.startswith("few_shot/"))
    parser.add_argument("recipe", help=f"a YAML file or a recipe: {known}, or any that classifies")
    parser.add_argument("--way", type=int, default=5, help="classes of a fold")
    parser.add_argument("--shot", type=int, default=10, help="training clouds of a class")
    parser.add_argument("--folds", type=int, default=10, help="how many folds")
    parser.add_argument("--query", type=int, default=20, help="test clouds of a class")
    parser.add_argument("--fold_seed", type=int, default=0, help="of the draw of the folds")
    parser.add_argument("--against", metavar="RECIPE2", help="compare with this, fold by fold")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_recipe_arguments(parser)
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Run the folds that are missing, then print all."""
    from pcmamba.train.few_shot import RESULT, FewShotProtocol, run_few_shot

    protocol = FewShotProtocol(
        args["way"], args["shot"], args["folds"], args["query"], args["fold_seed"]
    )
    overrides = recipe_overrides(argv)
    recipes = [load_recipe(args["recipe"], overrides)]
    if args["against"] is not None:
        shared = [pair for pair in overrides if not pair.startswith("--model.")]
        recipes.append(load_recipe(args["against"], shared))
    folder = Path(recipes[0].out or _default_folder(recipes, protocol))
    recipes = [replace(recipe, out=None) for recipe in recipes]
    write = (lambda line: None) if args["json"] else (lambda line: print(line, flush=True))
    result = run_few_shot(recipes, protocol, folder, write)
    if args["json"]:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print(f"\n{result.table()}\nwrote {folder / RESULT}")
    return 0


def recipe_overrides(argv: list[str]) -> list[str]:
    """Return the recipe's overrides among the arguments, each as one `--section.key=value`."""
    found, place = [], 0
    while place < len(argv):
        option, _, value = argv[place].partition("=")
        name = option.removeprefix("--")
        takes_next = option.startswith("--") and "=" not in argv[place] and option not in _FLAGS
        if takes_next and place + 1 < len(argv):
            place, value = place + 1, argv[place + 1]
        if option.startswith("--") and name not in OWN_OPTIONS:
            found.append(f"{option}={value}")
        place += 1
    return found


def _default_folder(recipes: list[Recipe], protocol: Any) -> Path:
    names = "-".join(recipe.model.name for recipe in recipes)
    data = recipes[0].data
    base = data.options.get("base", "modelnet40") if data.name == "few_shot" else data.name
    return Path("runs") / f"fewshot-{base}-{names}-{protocol.way}way-{protocol.shot}shot"

"""Few-shot runs: a model trained and tested on each of several folds, or two models on the same.

Every fold is a run of its own in a folder of its own. Finished folds are not run again and
interrupted ones go on, so that the whole can be stopped at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcmamba.data.datasets import DATASETS
from pcmamba.train.evaluate import EVALUATION
from pcmamba.train.few_shot_result import FewShotResult, FewShotScore
from pcmamba.train.recipe import DataConfig, Recipe
from pcmamba.train.recipe_file import differences
from pcmamba.train.run import train
from pcmamba.train.run_folder import is_finished, is_run, read_recipe_of, write_text

RESULT = "few_shot.json"


@dataclass(frozen=True)
class FewShotProtocol:
    """What the folds are.

    Attributes:
        way: Classes of a fold.
        shot: Training clouds of a class.
        folds: How many.
        query: Test clouds of a class; the published pickles hold 20.
        seed: Of the draw of all folds.
    """

    way: int = 5
    shot: int = 10
    folds: int = 10
    query: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("way", "shot", "folds", "query"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def run_few_shot(
    recipes: Sequence[Recipe],
    protocol: FewShotProtocol,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> FewShotResult:
    """Train and test one or two recipes on every fold, and write `few_shot.json`.

    Both see the same clouds. Fold k trains with the recipe's seed plus k, on all its shots.

    Args:
        recipes: What to train. `data` names the set that folds are drawn from, `few_shot`, or
            `modelnet_fewshot` for the published folds.
        protocol: Which folds.
        folder: Where to; what is finished there is taken as it is.
        say: Called with a line for each fold.

    Raises:
        ValueError: More than two recipes, other data for the second, or a fold in the folder was
            made by another recipe; says in what it differs.
    """
    _check(recipes)
    names = _names(recipes)
    accuracies: list[list[float]] = [[] for _ in recipes]
    for fold in range(protocol.folds):
        for number, recipe in enumerate(recipes):
            place = folder / f"{number + 1}-{recipe.model.name}" / f"fold-{fold}"
            accuracy, how = _run_fold(fold_recipe(recipe, protocol, fold, place), place)
            accuracies[number].append(accuracy)
            say(f"fold {fold + 1}/{protocol.folds}  {names[number]}  {accuracy:.1%}  {how}")
    scores = [FewShotScore(name, tuple(a)) for name, a in zip(names, accuracies, strict=True)]
    result = FewShotResult(_in_words(recipes[0], protocol), tuple(scores))
    write_text(folder / RESULT, json.dumps(result.as_dict(), indent=2) + "\n")
    return result


def _check(recipes: Sequence[Recipe]) -> None:
    if len(recipes) not in (1, 2):
        raise ValueError(f"recipes must be one or two, got {len(recipes)}")
    sets = [(r.data.name, r.data.root, r.data.options) for r in recipes]
    if sets[0] != sets[-1]:
        raise ValueError(
            f"against must train on the same data, got {sets[-1]} beside {sets[0]}: "
            "give --data.name, --data.root and --data.options, which hold for both"
        )
    for recipe in recipes:
        if recipe.pretrain.mask_ratio:
            raise ValueError("recipe must classify, got one that pre-trains: use model.init_from")
        if recipe.trainer.max_minutes is not None:
            raise ValueError("trainer.max_minutes must be unset: every fold is trained to its end")


def _names(recipes: Sequence[Recipe]) -> list[str]:
    """Name the models apart: by their name, and by where their weights come from."""
    names = []
    for recipe in recipes:
        source = recipe.model.init_from
        names.append(recipe.model.name + (f" from {Path(source).name}" if source else ""))
    if len(names) == 2 and names[0] == names[1]:
        names = [f"{name} ({which})" for name, which in zip(names, ("1", "2"), strict=True)]
    return names


def fold_recipe(recipe: Recipe, protocol: FewShotProtocol, fold: int, place: Path) -> Recipe:
    """Return the recipe of one fold: its data, its seed, no validation split."""
    data = dataclasses.replace(recipe.data, val_fraction=0.0, **_fold_data(recipe, protocol, fold))
    return dataclasses.replace(recipe, data=data, seed=recipe.seed + fold, out=str(place))


def _fold_data(recipe: Recipe, protocol: FewShotProtocol, fold: int) -> dict[str, Any]:
    options = {"way": protocol.way, "shot": protocol.shot, "fold": fold}
    data = recipe.data
    if data.name == "modelnet_fewshot":
        return {"options": data.options | options}
    drawn = {"query": protocol.query, "seed": protocol.seed}
    if data.name == "few_shot":
        base, base_options = data.options.get("base", "modelnet40"), data.options
        base_options = base_options.get("base_options", {})
    else:
        base, base_options = data.name, data.options
    base_options = _at_least(base, base_options, data)
    named = {"base": base, "base_options": base_options}
    return {"name": "few_shot", "options": options | drawn | named}


def _at_least(base: str, options: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    """Ask a set that is made at a chosen number of points for as many as are trained on."""
    known: dict[str, Any] = {
        entry.name: entry.default for entry in dataclasses.fields(DATASETS[base])
    }
    if "num_points" not in known:
        return options
    return {"num_points": max(int(known["num_points"]), data.num_points)} | options


def _run_fold(recipe: Recipe, place: Path) -> tuple[float, str]:
    """Return the accuracy of a fold and whether it was run, went on or was finished before."""
    begun = is_run(place)
    if begun:
        _check_same(place, recipe)
    how = "went on" if begun else "run"
    if begun and is_finished(place):
        how = "finished before"
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        log = place.with_name(f"{place.name}.log")
        with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            train(recipe, place if begun else None)
    stored = json.loads((place / EVALUATION).read_text(encoding="utf-8"))
    return float(stored["overall_accuracy"]), how


def _check_same(place: Path, recipe: Recipe) -> None:
    changed = differences(read_recipe_of(place), recipe)
    if changed:
        raise ValueError(
            f"out must be a new folder for another recipe, got {place} with {'; '.join(changed)}"
        )


def _in_words(recipe: Recipe, protocol: FewShotProtocol) -> str:
    data, drawn = (
        recipe.data,
        f"{protocol.query} test clouds a class, drawn by seed {protocol.seed}",
    )
    base = data.options.get("base", "modelnet40") if data.name == "few_shot" else data.name
    if data.name == "modelnet_fewshot":
        drawn = "the published test clouds"
    return (
        f"{protocol.way}-way {protocol.shot}-shot of {base}, {protocol.folds} folds, {drawn}, "
        f"last epoch of each fold; ± is the population standard deviation over the folds"
    )

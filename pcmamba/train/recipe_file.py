"""Recipes on disk and on the command line: reading, checking, writing, comparing."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from pcmamba.registry import unknown_name
from pcmamba.train.recipe import Recipe


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    root = files("pcmamba.configs")
    folders = (entry for entry in root.iterdir() if entry.is_dir())
    return sorted(
        f"{folder.name}/{recipe.name.removesuffix('.yaml')}"
        for folder in folders
        for recipe in folder.iterdir()
        if recipe.name.endswith(".yaml")
    )


def read_recipe(name: str) -> str:
    """Return the YAML text of a recipe, by its name or by a path.

    Raises:
        FileNotFoundError: A path to a YAML file that is not there.
        ValueError: No recipe has this name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise FileNotFoundError(f"recipe {name} must be a file, found none there")
        return path.read_text(encoding="utf-8")
    if name not in list_recipes():
        raise ValueError(unknown_name("recipe", name, list_recipes()))
    return files("pcmamba.configs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def add_recipe_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Give `parser` an option for each entry of a recipe: --data.root and so on."""
    parser.add_class_arguments(Recipe)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `--section.key value` overrides.

    Raises:
        ValueError: Unknown recipe or key (near matches are named), or a value of a wrong type.
        FileNotFoundError: A path to a YAML file that is not there.

    Example:
        `load_recipe("modelnet40/pcm_tiny", ["--data.root", "data", "--trainer.max_epochs=30"])`
    """
    return parse_recipe(read_recipe(name), overrides, source=name)


def parse_recipe(text: str, overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """Build a recipe from YAML text and overrides; see `load_recipe`."""
    check_keys_of(text, source)
    for option in overrides:
        if option.startswith("--"):
            check_option(option)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    add_recipe_arguments(parser)
    parser.add_argument("--recipe_text", action="config")
    try:
        parsed = parser.parse_args(["--recipe_text", text, *overrides])
    except jsonargparse.ArgumentError as error:
        raise ValueError(f"{source}: {one_line(error)}") from error
    return build_recipe(parsed.as_dict())


def build_recipe(tree: dict[str, Any]) -> Recipe:
    """Turn a nested dictionary with parsed values into a recipe, ignoring other entries."""
    return typing.cast("Recipe", _build(Recipe, tree))


def _build(kind: type, tree: dict[str, Any]) -> object:
    hints = typing.get_type_hints(kind)
    values = {}
    for entry in dataclasses.fields(kind):
        value, hint = tree[entry.name], hints[entry.name]
        nested = dataclasses.is_dataclass(hint)
        values[entry.name] = _build(typing.cast("type", hint), value) if nested else value
    return kind(**values)


def one_line(error: Exception) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split())


def check_keys_of(text: str, source: str) -> None:
    """Refuse text that is no YAML mapping, or has a key that no recipe has.

    Raises:
        ValueError: Names `source`, or the key and its nearest neighbours.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} must be YAML, got {one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{source} must hold the keys of a recipe, got {type(tree).__name__}")
    check_keys(tree)


def check_keys(tree: dict[str, Any], kind: type = Recipe, prefix: str = "") -> None:
    """Refuse a key that no dataclass of the recipe has.

    Raises:
        ValueError: Names the key, its nearest neighbours and all that exist there.
    """
    hints = typing.get_type_hints(kind)
    for key, value in tree.items():
        if key not in hints:
            known = [prefix + name for name in hints]
            raise ValueError(unknown_name("recipe key", f"{prefix}{key}", known))
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise ValueError(f"{prefix}{key} must be a section with keys, got {value!r}")
            check_keys(value, typing.cast("type", hints[key]), f"{prefix}{key}.")


def check_option(option: str, others: Sequence[str] = ()) -> None:
    """Refuse `--section.key[=value]` that names no entry of a recipe nor one of `others`.

    Raises:
        ValueError: Names the option, its nearest neighbours and all that exist.
    """
    name = option.removeprefix("--").partition("=")[0].removesuffix("+")
    known = set(_leaves(Recipe)) | set(others)
    parents = {".".join(name.split(".")[:depth]) for depth in (1, 2, 3)}
    free = {key for key in known if _is_dict(key)}
    if name not in known and not parents & free:
        section = [key for key in known if key.startswith(name.partition(".")[0] + ".")]
        near = section or [key for key in known if "." not in key]
        raise ValueError(unknown_name("option", f"--{name}", [f"--{key}" for key in near]))


def _leaves(kind: type, prefix: str = "") -> Iterator[str]:
    for name, hint in typing.get_type_hints(kind).items():
        yield prefix + name
        if dataclasses.is_dataclass(hint):
            yield from _leaves(typing.cast("type", hint), f"{prefix}{name}.")


def _is_dict(key: str) -> bool:
    hint: Any = Recipe
    for part in key.split("."):
        hint = typing.get_type_hints(hint).get(part) if dataclasses.is_dataclass(hint) else None
    return isinstance(hint, types.GenericAlias) and typing.get_origin(hint) is dict


def dump_recipe(recipe: Recipe) -> str:
    """Return the whole recipe as YAML that `parse_recipe` reads back to an equal one."""
    tree = dataclasses.asdict(recipe)
    tree["optim"]["betas"] = list(recipe.optim.betas)
    return str(yaml.safe_dump(tree, sort_keys=False))


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Say entry by entry where `new` differs from `old`, the folder left aside."""
    lines = []
    for name in _leaves(Recipe):
        a, b = _entry(old, name), _entry(new, name)
        if not dataclasses.is_dataclass(a) and a != b and name != "out":
            lines.append(f"{name}: {a} -> {b}")
    return lines


def _entry(recipe: Recipe, name: str) -> object:
    value: object = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value

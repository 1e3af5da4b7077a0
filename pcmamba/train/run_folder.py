"""The folder of a run: where it is, what it holds, how it is found again."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from pcmamba.train.recipe import Recipe
from pcmamba.train.recipe_file import dump_recipe, parse_recipe

CONFIG, RESULT, MODEL = "config.yaml", "result.json", "model"
ENVIRONMENT = "environment.json"
PACKAGES = ("pcmamba", "torch", "lightning", "numpy", "numba", "triton", "torchmetrics")


def is_run(folder: Path) -> bool:
    """Tell whether a folder is that of a run."""
    return (folder / CONFIG).is_file()


def is_finished(folder: Path) -> bool:
    """Tell whether a run came to its last epoch."""
    path = folder / RESULT
    if not path.is_file():
        return False
    result = json.loads(path.read_text(encoding="utf-8"))
    return bool(result["epochs"] >= result["max_epochs"])


def read_recipe_of(folder: Path) -> Recipe:
    """Read the recipe that a run was started with.

    Raises:
        FileNotFoundError: The folder is not that of a run.
    """
    if not is_run(folder):
        raise FileNotFoundError(f"{folder} must be the folder of a run: it has no {CONFIG}")
    return parse_recipe((folder / CONFIG).read_text(encoding="utf-8"), source=str(folder / CONFIG))


def new_folder(recipe: Recipe) -> Path:
    """Choose where a new run goes.

    Raises:
        ValueError: `out` holds a run or other files.
    """
    if recipe.out is None:
        candidates = _numbered(recipe)
        return next(path for path in candidates if not path.exists())
    path = Path(recipe.out)
    if path.is_dir() and any(path.iterdir()):
        kind = "a run" if is_run(path) else "other files"
        raise ValueError(
            f"out must be a new or empty folder, got {path} with {kind}: choose another --out"
            + (f" or go on with --resume {path}" if is_run(path) else "")
        )
    return path


def newest_unfinished(recipe: Recipe) -> Path | None:
    """Find the run that `--resume auto` means: `out`, or the newest of its default folders."""
    if recipe.out is not None:
        return Path(recipe.out) if is_run(Path(recipe.out)) else None
    found = None
    for path in _numbered(recipe):
        if not path.exists():
            return found
        if is_run(path) and not is_finished(path):
            found = path
    return found


def _numbered(recipe: Recipe) -> Iterator[Path]:
    base, number = Path("runs") / f"{recipe.data.name}-{recipe.model.name}", 1
    while True:
        yield base if number == 1 else base.with_name(f"{base.name}-{number}")
        number += 1


def write_start(folder: Path, recipe: Recipe, device: str, precision: str) -> None:
    """Write the whole recipe and the environment of a run that begins or goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, dump_recipe(recipe))
    path = folder / ENVIRONMENT
    starts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    starts.append({"seed": recipe.seed, **environment(device, precision)})
    write_text(path, json.dumps(starts, indent=2) + "\n")


def environment(device: str, precision: str) -> dict[str, Any]:
    """Return versions, time and device, for JSON."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)

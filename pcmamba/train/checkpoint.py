"""Step checkpoints: whole or absent on disk, found again after any crash."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT_VERSION = 1
KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `step_<step>.pt` under a temporary name, rename it, and drop all but the newest two.

    Args:
        folder: Made if it is not there.
        step: Steps done.
        state: Tensors, numbers, strings, lists and dictionaries only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:09d}.pt"
    temporary = folder / f".{path.name}.{os.getpid()}"
    with temporary.open("wb") as file:
        torch.save({"format_version": FORMAT_VERSION, "step": step, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    for old in list_checkpoints(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the step checkpoints in a folder, newest first."""
    return sorted(folder.glob("step_*.pt"), reverse=True)


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files of a killed process."""
    for path in folder.glob(".step_*.pt.*"):
        path.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint; no code in the file is run.

    Raises:
        ValueError: The file is truncated, damaged, or of a later format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not compare the checksums
        if damaged is not None:
            raise ValueError(f"{path} must be whole, got a damaged entry {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, OSError, RuntimeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} must be a whole checkpoint, got {first}") from error
    if not isinstance(state, dict) or state.get("format_version", 0) > FORMAT_VERSION:
        raise ValueError(f"{path} must have format_version <= {FORMAT_VERSION}: update pcmamba")
    return state


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the newest whole checkpoint; each damaged one that is passed over is named.

    Raises:
        ValueError: There are checkpoints, and all are damaged.
    """
    paths = list_checkpoints(folder)
    for path in paths:
        try:
            return load_checkpoint(path)
        except ValueError as error:
            print(f"passed over: {error}", file=sys.stderr)
    if paths:
        raise ValueError(f"{folder} must hold a whole checkpoint, got {len(paths)} damaged ones")
    return None

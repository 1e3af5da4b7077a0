"""Weights on disk: safetensors beside a configuration, compared tensor by tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT_VERSION = 1
LISTED = 12


def write_folder(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write weights and configuration, each under a temporary name first."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{WEIGHTS}.{os.getpid()}"
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, temporary)
    os.replace(temporary, folder / WEIGHTS)
    temporary = folder / f".{CONFIG}.{os.getpid()}"
    temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / CONFIG)


def read_config(path: Path) -> dict[str, Any]:
    """Read a saved model's configuration.

    Raises:
        ValueError: It is no configuration of this library, or of a later format.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be JSON, got {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version is None:
        raise ValueError(f"{path} must be written by save_pretrained: it has no format_version")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} must have format_version <= {FORMAT_VERSION}, got {version}: "
            "update pcmamba to read it"
        )
    return config


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ValueError: The file is damaged or no safetensors file.
    """
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own untyped error for damaged files
        raise ValueError(f"{path} must be a whole safetensors file, got {error}") from error


def differences(wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> list[str]:
    """Say tensor by tensor how `got` differs from `wanted` in names and shapes."""
    lines = [f"missing {k} {tuple(wanted[k].shape)}" for k in wanted.keys() - got.keys()]
    lines += [f"unexpected {k} {tuple(got[k].shape)}" for k in got.keys() - wanted.keys()]
    lines += [
        f"{k} must be {tuple(wanted[k].shape)}, got {tuple(got[k].shape)}"
        for k in wanted.keys() & got.keys()
        if wanted[k].shape != got[k].shape
    ]
    return sorted(lines)


def load_strictly(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load `state` into `model`, all of it or nothing.

    Raises:
        ValueError: Names or shapes differ; each difference is listed.
    """
    found = differences(model.state_dict(), state)
    if found:
        more = f"\n  … and {len(found) - LISTED} more" if len(found) > LISTED else ""
        listing = "\n  ".join(found[:LISTED])
        raise ValueError(
            f"the weights of {source} must fit the model, got {len(found)} differences:\n"
            f"  {listing}{more}"
        )
    model.load_state_dict(dict(state))

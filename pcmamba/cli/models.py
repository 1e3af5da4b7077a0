"""`pcmamba models`: list the models."""

from __future__ import annotations

from typing import Any

import jsonargparse

from pcmamba.cli._command import command_parser


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser, which takes nothing."""
    return command_parser("List the models.")


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Print the name, size and first line of each model."""
    import torch

    from pcmamba.models import MODELS, create_model

    for name in MODELS:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in create_model(name, num_classes=40).parameters())
        print(f"{name:12} {parameters:>11,} parameters  {_first_line(MODELS[name])}")
    return 0


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]

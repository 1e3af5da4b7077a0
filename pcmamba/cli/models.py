"""`pcmamba models`: list the models."""

from __future__ import annotations

from typing import Any

import jsonargparse

from pcmamba.cli._command import command_parser


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of what to list."""
    parser = command_parser("List the models.")
    parser.add_argument(
        "--cost", action="store_true", help="count the operations for one cloud: some seconds"
    )
    parser.add_argument("--num_points", type=int, default=1024, help="points of that cloud")
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Print the name, size and first line of each model."""
    import torch

    from pcmamba.models import MODELS, create_model

    if args["cost"]:
        return _print_costs(args["num_points"])
    for name in MODELS:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in create_model(name, num_classes=40).parameters())
        print(f"{name:12} {parameters:>11,} parameters  {_first_line(MODELS[name])}")
    return 0


def _print_costs(num_points: int) -> int:
    """Print multiply-adds by kind, in millions."""
    from pcmamba.models import MODELS, PointClassifier, create_model
    from pcmamba.models.cost import model_cost

    if num_points < 1:
        raise ValueError(f"num_points must be at least 1, got {num_points}")
    print(f"million multiply-adds for one cloud of {num_points} points, 40 classes")
    print(f"{'model':14} {'parameters':>11}  products  norms  scans: products  states     total")
    for name in MODELS:
        model = create_model(name, num_classes=40)
        if not isinstance(model, PointClassifier) or model.domain != "clouds":
            continue  # takes recordings of events
        parameters, found, _ = model_cost(model, num_points)
        m = [f"{count / 1e6:,.1f}" for count in (*found, found.total)]
        line = f"{m[0]:>8} {m[1]:>6} {m[2]:>16} {m[3]:>7} {m[4]:>9}"
        print(f"{name:14} {parameters:>11,}  {line}", flush=True)
    return 0


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]

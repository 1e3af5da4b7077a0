"""`pcmamba audit`: find what moves results that should not."""

from __future__ import annotations

import json
from typing import Any, Literal

import jsonargparse

from pcmamba.cli._command import cloud_set_of, command_parser
from pcmamba.train.recipe import EvaluationData


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the model, the set and the number of clouds."""
    parser = command_parser(
        "Find what moves a model's results that should not: batch-mates, order, …"
    )
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_class_arguments(EvaluationData, "data")
    parser.add_argument("--split", type=Literal["test", "train"], default="test")
    parser.add_argument("--clouds", type=int, default=64, help="clouds spread over the split")
    parser.add_argument("--seed", type=int, default=0, help="of the permutations")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Probe the model and print what moved."""
    import torch

    from pcmamba.audit import audit
    from pcmamba.train.datamodule import evaluation_loader
    from pcmamba.train.predictor import find_run, load

    if args["clouds"] < 2:
        raise ValueError(f"clouds must be at least 2, got {args['clouds']}")
    model, run = load(args["model"], args["device"]).model, find_run(args["model"])
    if model.domain != "clouds":
        raise ValueError(f"audit needs a model of clouds, got {model.name} of {model.domain}")
    cloud_set = cloud_set_of(args, run)
    rows = torch.linspace(0, len(cloud_set.labels) - 1, args["clouds"]).long().unique()
    device = next(model.parameters()).device
    chosen = cloud_set.take(rows)
    [batch] = evaluation_loader(chosen, model.preprocessing, len(chosen.labels), device)
    probes = audit(model, batch.points, seed=args["seed"])
    if args["json"]:
        print(json.dumps([probe.as_dict() for probe in probes], indent=2))
        return 0
    print(f"{'what is changed':<32} largest logit change  in deviations  other class  may matter")
    for p in probes:
        print(f"{p.name:<32} {p.largest:20.2e} {p.relative:14.2e} {p.flipped:12.1%}  {p.expected}")
    return 0

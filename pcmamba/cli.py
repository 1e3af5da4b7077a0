"""The command `pcmamba`: train, evaluate, predict, audit, data, models.

Heavy imports are inside the commands, so that help and mistakes answer at once.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonargparse

from pcmamba import __version__
from pcmamba.registry import unknown_name
from pcmamba.train.recipe import EvaluationData, Recipe
from pcmamba.train.recipe_file import (
    add_recipe_arguments,
    build_recipe,
    check_keys_of,
    check_option,
    differences,
    list_recipes,
    one_line,
    read_recipe,
)

if TYPE_CHECKING:
    from pcmamba.data.structures import CloudSet
    from pcmamba.train.predictor import Predictor

USER_ERRORS = (ValueError, OSError, ImportError, NotImplementedError, ArithmeticError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a bad file among others, 2 for misuse."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except KeyboardInterrupt as stop:
        print(f"pcmamba: {stop or 'stopped'}", file=sys.stderr)
        return 130
    except (jsonargparse.ArgumentError, *USER_ERRORS) as error:
        if os.environ.get("PCMAMBA_DEBUG"):
            raise
        print(f"pcmamba: error: {one_line(error)}", file=sys.stderr)
        return 2


def _run(argv: list[str]) -> int:
    if not argv:
        argv = ["--help"]
    name = argv[0]
    if not name.startswith("-") and name not in COMMANDS:
        raise ValueError(unknown_name("command", name, COMMANDS))
    if name == "train":
        for option in argv[1:]:
            if option.startswith("--"):
                check_option(option, ("resume", "help"))
    root = jsonargparse.ArgumentParser(
        prog="pcmamba",
        description="3D perception on point clouds with state-space models.",
        version=f"pcmamba {__version__}",
        exit_on_error=False,
    )
    commands = root.add_subcommands(dest="command")
    for command, (make, _) in COMMANDS.items():
        commands.add_subcommand(command, make())
    parsed = root.parse_args(argv).as_dict()
    _, run = COMMANDS[name]
    return run(parsed[name], argv[1:])


def _parser(description: str) -> jsonargparse.ArgumentParser:
    return jsonargparse.ArgumentParser(description=description, exit_on_error=False)


def _train_parser() -> jsonargparse.ArgumentParser:
    parser = _parser("Train by a recipe; --section.key VALUE changes an entry of it.")
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


def _train(args: dict[str, Any], argv: list[str]) -> int:
    recipe, folder = _recipe_and_run(args, argv)
    from pcmamba.train.run import train

    result = train(recipe, folder)
    if int(os.environ.get("RANK", "0")) == 0:
        if result.report is not None:
            print(f"{result.report.protocol}: {_figures(result.report)}")
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
    parser = _train_parser()
    parser.add_argument("--recipe_text", action="config")
    return build_recipe(parser.parse_args(["--recipe_text", text, *argv]).as_dict())


def _evaluate_parser() -> jsonargparse.ArgumentParser:
    parser = _parser("Measure a trained model on labelled clouds.")
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_class_arguments(EvaluationData, "data")
    parser.add_argument("--split", type=Literal["test", "train"], default="test")
    parser.add_argument("--votes", type=int, default=0, help="randomly scaled further views")
    parser.add_argument("--seed", type=int, default=0, help="of the votes")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    parser.add_argument(
        "--out", help="folder for the report and the confusion matrix; default: in the run"
    )
    return parser


def _evaluate(args: dict[str, Any], argv: list[str]) -> int:
    from pcmamba.train.evaluate import evaluate
    from pcmamba.train.predictor import find_run, load

    model, run = load(args["model"], args["device"]).model, find_run(args["model"])
    cloud_set = _cloud_set(args, run)
    with _Progress() as (_, advance):
        report = evaluate(
            model,
            cloud_set,
            batch_size=args["batch_size"],
            votes=args["votes"],
            seed=args["seed"],
            progress=advance,
        )
    print(f"{report.table()}\n\n{report.protocol}\n{_figures(report)}")
    out = args["out"] or (run / "evaluation" if run else None)
    for path in report.save(Path(out)) if out else ():
        print(f"wrote {path}")
    return 0


def _cloud_set(args: dict[str, Any], run: Path | None) -> CloudSet:
    """Load the set that the options name, by default that of the run."""
    from pcmamba.train.datamodule import make_dataset
    from pcmamba.train.recipe import DataConfig
    from pcmamba.train.run_folder import read_recipe_of

    given: dict[str, Any] = {}
    if run is not None:
        data = read_recipe_of(run).data
        given = {"name": data.name, "root": data.root, "options": data.options}
    if args["data"]["name"] not in (None, given.get("name")):
        given = {}
    options = {**given.get("options", {}), **args["data"]["options"]}
    given |= {key: value for key, value in args["data"].items() if value} | {"options": options}
    if not given.get("name"):
        raise ValueError("data.name must be given for a model outside its run: --data.name NAME")
    return make_dataset(DataConfig(**given)).load(args["split"])


def _figures(report: Any) -> str:
    return (
        f"overall accuracy {report.overall_accuracy:.2%}, "
        f"mean-class accuracy {report.mean_class_accuracy:.2%}"
    )


def _predict_parser() -> jsonargparse.ArgumentParser:
    parser = _parser("Say what the clouds in files are.")
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_argument("files", nargs="+", metavar="FILE", help="clouds in any readable format")
    parser.add_argument(
        "--up-axis", type=Literal["x", "y", "z"] | None, help="default: what the file says, else z"
    )
    parser.add_argument("--top", type=int, default=5, help="classes named for each file")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of points")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--save", help="PNG of the cloud; a folder for several files")
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    return parser


def _predict(args: dict[str, Any], argv: list[str]) -> int:
    from pcmamba.train.predictor import load

    files, save = args["files"], args["save"]
    if save and len(files) > 1 and Path(save).suffix:
        raise ValueError(f"save must be a folder for {len(files)} files, got {save}")
    predictor = load(args["model"], args["device"])
    rows, failed = [], False
    with _Progress(len(files)) as (console, advance):
        for number, file in enumerate(files):
            try:
                rows.append(_predict_file(predictor, file, args, console))
            except USER_ERRORS as error:
                failed = True
                rows.append({"source": file, "error": one_line(error)})
                print(f"pcmamba: error: {_naming(file, error)}", file=sys.stderr)
            advance(number + 1, len(files))
    if args["json"]:
        print(json.dumps(rows, indent=2))
    return 1 if failed else 0


def _naming(file: str, error: Exception) -> str:
    line = one_line(error)
    return line if file in line else f"{file}: {line}"


def _predict_file(
    predictor: Predictor, file: str, args: dict[str, Any], write: Callable[[str], None]
) -> dict[str, Any]:
    found = predictor.predict(file, up_axis=args["up_axis"], top=args["top"], seed=args["seed"])
    row = found.as_dict()
    if not args["json"]:
        write(f"{file}: {found} ({found.note})")
    if args["save"]:
        from pcmamba.viz.cloud_picture import save_cloud_png

        target = _picture_path(args["save"], file, args["files"])
        shown = predictor.prepare(file, up_axis=args["up_axis"], seed=args["seed"]).points
        title = f"{found.label}  {found.probabilities[0]:.1%}"
        save_cloud_png(target, shown.numpy(), title=title)
        row["picture"] = str(target)
        if not args["json"]:
            write(f"wrote {target}")
    return row


def _picture_path(save: str, file: str, files: list[str]) -> Path:
    if Path(save).suffix.lower() == ".png":
        return Path(save)
    same = [other for other in files if Path(other).stem == Path(file).stem]
    suffix = "" if len(same) == 1 else f"-{same.index(file) + 1}"
    return Path(save) / f"{Path(file).stem}{suffix}.png"


class _Progress:
    """Show a bar on a terminal for more than one item; yield (write a line, advance)."""

    def __init__(self, total: int | None = None) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        hidden = total == 1 or not console.is_terminal
        self.bar = Progress(console=console, transient=True, disable=hidden)
        self.task = self.bar.add_task("clouds", total=total)

    def __enter__(self) -> tuple[Callable[[str], None], Callable[[int, int], None]]:
        self.bar.start()
        return print, lambda done, total: self.bar.update(self.task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def _audit_parser() -> jsonargparse.ArgumentParser:
    parser = _parser("Find what moves a model's results that should not: batch-mates, order, …")
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_class_arguments(EvaluationData, "data")
    parser.add_argument("--split", type=Literal["test", "train"], default="test")
    parser.add_argument("--clouds", type=int, default=64, help="clouds spread over the split")
    parser.add_argument("--seed", type=int, default=0, help="of the permutations")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    return parser


def _audit(args: dict[str, Any], argv: list[str]) -> int:
    import torch

    from pcmamba.audit import audit
    from pcmamba.train.datamodule import evaluation_loader, take
    from pcmamba.train.predictor import find_run, load

    if args["clouds"] < 2:
        raise ValueError(f"clouds must be at least 2, got {args['clouds']}")
    model, run = load(args["model"], args["device"]).model, find_run(args["model"])
    cloud_set = _cloud_set(args, run)
    rows = torch.linspace(0, len(cloud_set.labels) - 1, args["clouds"]).long().unique()
    device = next(model.parameters()).device
    chosen = take(cloud_set, rows)
    [batch] = evaluation_loader(chosen, model.preprocessing, len(chosen.labels), device)
    probes = audit(model, batch.points, seed=args["seed"])
    if args["json"]:
        print(json.dumps([probe.as_dict() for probe in probes], indent=2))
        return 0
    print(f"{'what is changed':<32} largest logit change  in deviations  other class  may matter")
    for p in probes:
        print(f"{p.name:<32} {p.largest:20.2e} {p.relative:14.2e} {p.flipped:12.1%}  {p.expected}")
    return 0


def _data_parser() -> jsonargparse.ArgumentParser:
    parser = _parser(
        "list: what is supported, and what lies in a folder. check: describe a set and look for "
        "faults. prepare: read a set once, so that later starts are instant. show: draw a few "
        "clouds of each class. speed: clouds a second that reach a training step."
    )
    parser.add_argument("action", type=Literal["list", "check", "prepare", "show", "speed"])
    parser.add_argument("name", nargs="?", help="which data set; for list, the folder to look in")
    parser.add_argument("root", nargs="?", help="its folder")
    parser.add_argument("--options", type=dict, default={}, help="further options of the set")
    parser.add_argument("--split", type=Literal["test", "train"], default="train")
    parser.add_argument("--out", help="show: the PNG; default: <name>.png")
    parser.add_argument("--per_class", type=int, default=4, help="show: clouds of a class")
    parser.add_argument("--num_points", type=int, default=1024, help="speed: points of a cloud")
    parser.add_argument("--batch_size", type=int, default=32, help="speed: clouds of a batch")
    parser.add_argument("--device", type=str | None, help="speed: default: a GPU if there is one")
    return parser


def _data(args: dict[str, Any], argv: list[str]) -> int:
    from pcmamba.data.catalogue import catalogue
    from pcmamba.data.check import make_set
    from pcmamba.data.prepare import PreparedSet

    if args["action"] == "list":
        print("\n".join(catalogue(Path(args["name"]) if args["name"] else None)))
        return 0
    if args["name"] is None:
        raise ValueError(f"name must be given: pcmamba data {args['action']} NAME [ROOT]")
    dataset = make_set(args["name"], args["root"], **args["options"])
    if args["action"] == "check":
        return _check_data(dataset)
    prepared = PreparedSet(args["name"], dataset)
    if args["action"] == "prepare":
        return _prepare_data(prepared)
    cloud_set = prepared.load(args["split"])
    if args["action"] == "show":
        from pcmamba.viz.cloud_sheet import save_cloud_sheet

        target = args["out"] or f"{args['name']}.png"
        save_cloud_sheet(target, cloud_set, per_class=args["per_class"])
        print(f"wrote {target}")
        return 0
    from pcmamba.train.loading_speed import loading_speed

    options = {key: args[key] for key in ("num_points", "batch_size", "device")}
    print(f"{loading_speed(cloud_set, **options):,.0f} clouds/s")
    return 0


def _check_data(dataset: Any) -> int:
    from pcmamba.data.faults import find_faults, table

    loaded: dict[str, Any] = {}

    def load(split: str) -> Any:
        loaded[split] = loaded.get(split) or dataset.load(split)
        return loaded[split]

    findings = find_faults(load)
    faulty = any(finding.verdict == "FAULT" for finding in findings)
    if len(loaded) == 2:
        try:
            print("\n".join(dataset.check()), end="\n\n")
        except ValueError as error:
            print(f"pcmamba: error: {one_line(error)}", file=sys.stderr)
            faulty = True
    print("\n".join(table(findings)))
    return 1 if faulty else 0


def _prepare_data(prepared: Any) -> int:
    before = prepared.is_prepared()
    with _Progress() as (_, advance):
        folder = prepared.prepare(advance)
    print(f"{'already in' if before else 'wrote'} {folder}")
    return 0


def _models_parser() -> jsonargparse.ArgumentParser:
    return _parser("List the models.")


def _models(args: dict[str, Any], argv: list[str]) -> int:
    import torch

    from pcmamba.models import MODELS, create_model

    for name in MODELS:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in create_model(name, num_classes=40).parameters())
        print(f"{name:12} {parameters:>11,} parameters  {_first_line(MODELS[name])}")
    return 0


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


COMMANDS: dict[str, tuple[Callable[[], Any], Callable[[dict[str, Any], list[str]], int]]] = {
    "train": (_train_parser, _train),
    "evaluate": (_evaluate_parser, _evaluate),
    "predict": (_predict_parser, _predict),
    "audit": (_audit_parser, _audit),
    "data": (_data_parser, _data),
    "models": (_models_parser, _models),
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.exit(main())

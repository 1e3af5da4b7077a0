"""`pcmamba predict`: say what the clouds in files are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonargparse

from pcmamba.cli._command import USER_ERRORS, Progress, command_parser
from pcmamba.train.recipe_file import one_line

if TYPE_CHECKING:
    from pcmamba.train.predictor import Predictor


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the model, the files and what is written."""
    parser = command_parser("Say what the clouds in files are.")
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


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Answer for each file; 1 where one could not be read."""
    from pcmamba.train.predictor import load

    files, save = args["files"], args["save"]
    if save and len(files) > 1 and Path(save).suffix:
        raise ValueError(f"save must be a folder for {len(files)} files, got {save}")
    predictor = load(args["model"], args["device"])
    rows, failed = [], False
    with Progress(len(files)) as (console, advance):
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

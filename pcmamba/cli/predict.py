"""`pcmamba predict`: say what clouds, or recordings of events, in files are."""

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
    from pcmamba.train.event_predictor import EventPredictor
    from pcmamba.train.predictor import Predictor

# Options that a model of the other kind has no use for, with their defaults.
CLOUDS_ONLY = {"up_axis": None, "save": None, "seed": 0}
READING = ("order", "t_unit", "resolution_hw", "camera")
EVENTS_ONLY = {
    **dict.fromkeys(READING),
    "window": None,
    "stream": False,
    "frame_ms": None,
    "frame_events": None,
    "speed": 0.0,
}


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of the model, the files and what is written."""
    parser = command_parser("Say what the clouds or the recordings of events in files are.")
    parser.add_argument("model", metavar="CKPT", help="a run, a saved model, or a name on the hub")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="clouds or recordings in any readable format"
    )
    parser.add_argument("--top", type=int, default=5, help="classes named for each file")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    clouds = parser.add_argument_group("clouds")
    clouds.add_argument(
        "--up-axis", type=Literal["x", "y", "z"] | None, help="default: what the file says, else z"
    )
    clouds.add_argument("--seed", type=int, default=0, help="of the choice of points")
    clouds.add_argument("--save", help="PNG of the cloud; a folder for several files")
    _add_event_arguments(parser.add_argument_group("recordings of events"))
    return parser


def _add_event_arguments(events: Any) -> None:
    events.add_argument(
        "--window", type=float | None, help="answer for each window of so many seconds"
    )
    events.add_argument(
        "--stream", action="store_true", help="answer while the recording runs, frame by frame"
    )
    events.add_argument("--frame_ms", type=float | None, help="stream: length of a frame; 50")
    events.add_argument("--frame_events", type=int | None, help="stream: or its number of events")
    events.add_argument(
        "--speed", type=float, default=0.0, help="stream: 1: as fast as recorded; 0: at once"
    )
    events.add_argument("--order", type=str | None, help="columns of a file that has no names")
    events.add_argument("--t_unit", type=str | None, help="of the times: s, ms, us or ns")
    events.add_argument("--resolution_hw", type=list[int] | None, help="of the sensor: [H, W]")
    events.add_argument("--camera", type=str | None, help="of an aedat file: davis346, …")


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Answer for each file; 1 where one could not be read."""
    from pcmamba.train.predictor import Predictor, load

    files, save = args["files"], args["save"]
    if save and len(files) > 1 and Path(save).suffix:
        raise ValueError(f"save must be a folder for {len(files)} files, got {save}")
    predictor = load(args["model"], args["device"])
    if isinstance(predictor, Predictor):
        _check_unused(args, EVENTS_ONLY, "events", predictor.model.name)
        return _answer_all(args, lambda file, write: [_cloud(predictor, file, args, write)])
    _check_unused(args, CLOUDS_ONLY, "clouds", predictor.model.name)
    if args["stream"]:
        from pcmamba.cli._live import show_stream

        stream = _stream(predictor, args)
        return _answer_all(
            args, lambda file, write: [show_stream(stream, file, args, _reading(args))], quiet=True
        )
    return _answer_all(args, lambda file, write: _recording(predictor, file, args, write))


def _answer_all(
    args: dict[str, Any],
    answer: Callable[[str, Callable[[str], None]], list[dict[str, Any]]],
    quiet: bool = False,
) -> int:
    """Answer for every file, whatever happens with others; `quiet` shows no bar."""
    files, rows, failed = args["files"], [], False
    with Progress(1 if quiet else len(files)) as (write, advance):
        for number, file in enumerate(files):
            try:
                rows += answer(file, write)
            except USER_ERRORS as error:
                failed = True
                rows.append({"source": file, "error": one_line(error)})
                print(f"pcmamba: error: {_naming(file, error)}", file=sys.stderr)
            advance(number + 1, len(files))
    if args["json"]:
        print(json.dumps(rows, indent=2))
    return 1 if failed else 0


def _check_unused(args: dict[str, Any], options: dict[str, Any], of: str, model: str) -> None:
    for name, default in options.items():
        if args[name] != default:
            raise ValueError(f"{name} must be given for models of {of} alone, got it for {model}")


def _naming(file: str, error: Exception) -> str:
    line = one_line(error)
    return line if file in line else f"{file}: {line}"


def _cloud(
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


def _reading(args: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `read_events` that are given."""
    sides = args["resolution_hw"]
    if sides is not None and len(sides) != 2:
        raise ValueError(f"resolution_hw must be [H, W], got {sides}")
    given = {name: args[name] for name in READING if args[name] is not None}
    return given | ({} if sides is None else {"resolution_hw": tuple(sides)})


def _recording(
    predictor: EventPredictor, file: str, args: dict[str, Any], write: Callable[[str], None]
) -> list[dict[str, Any]]:
    reading = {"top": args["top"], **_reading(args)}
    if args["window"] is None:
        found = [predictor.predict(file, **reading)]
    else:
        found = predictor.predict_windows(file, round(args["window"] * 1e6), **reading)
    if not args["json"]:
        for one in found:
            write(f"{file}: {one} ({one.note})")
    return [one.as_dict() | {"source": file} for one in found]


def _stream(predictor: EventPredictor, args: dict[str, Any]) -> Any:
    if args["window"] is not None:
        raise ValueError("window must not be given beside stream: a stream has no windows")
    length = None if args["frame_ms"] is None else round(args["frame_ms"] * 1000)
    return predictor.stream(frame_us=length, frame_events=args["frame_events"])

"""`pcmamba view`: see clouds, recordings, data sets, predictions and runs, in a window or file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonargparse

from pcmamba.cli._command import command_parser
from pcmamba.train.recipe import EvaluationData
from pcmamba.train.recipe_file import one_line

if TYPE_CHECKING:
    from pcmamba.viz.sample import Sample

KINDS = (".png", ".ply", ".html", ".gif", ".mp4")


def make_parser() -> jsonargparse.ArgumentParser:
    """Make the parser of what is seen, how it is coloured and where it goes."""
    parser = command_parser(
        "See clouds and recordings of events in a window, or with --save as a file: png, ply "
        "(labelled), html (one page to turn them in, offline), gif or mp4 (a turntable)."
    )
    parser.add_argument(
        "target",
        nargs="*",
        metavar="TARGET",
        help="files of clouds or recordings, or one run; or --data.name",
    )
    parser.add_argument("--color", default="auto", help="class, part, height, error, confidence, "
                        "sequence or color; default: what says most")  # fmt: skip
    parser.add_argument("--order", default="hilbert", help="sequence: the order of the points")
    parser.add_argument("--depth", type=int | None, help="sequence: bits of the grid, 1 to 20")
    parser.add_argument("--line", type=bool, default=True, help="sequence: draw the line")
    parser.add_argument("--palette", type=Literal["auto", "safe"], default="auto",
                        help="safe: never the published colours of a data set")  # fmt: skip
    parser.add_argument("--model", metavar="CKPT", help="let this model answer for each cloud")
    parser.add_argument("--truth", help="a file of the same points with the true labels")
    parser.add_class_arguments(EvaluationData, "data")
    parser.add_argument("--split", type=Literal["test", "train"], default="test")
    parser.add_argument("--index", type=int, nargs="+", help="which clouds of a set")
    parser.add_argument("--pick", type=Literal["hardest", "random", "first"] | None,
                        help="default: hardest of a run, else first")  # fmt: skip
    parser.add_argument("--count", type=int, default=8, help="clouds picked from a set")
    parser.add_argument("--among", type=int, default=512, help="clouds asked for the hardest")
    parser.add_argument(
        "--seed", type=int, default=0, help="of random picks and of a model's points"
    )
    parser.add_argument(
        "--up-axis", type=Literal["x", "y", "z"] | None, help="default: what the file says, else z"
    )
    parser.add_argument("--events", action="store_true", help="the files are recordings of events; "
                        ".aedat, .aedat4, .bin, .dat and .raw are without it")  # fmt: skip
    forms = Literal["cloud", "strip", "player", "raster"]
    parser.add_argument("--form", type=forms, default="cloud",
                        help="recordings: a cloud of (x, t, y), frames in a row (png), a page that "
                        "plays them, with --model's answers over time (html), or the spikes "
                        "of --model (png)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=8, help="strip: how many")
    parser.add_argument("--window", type=float, default=1.0, help="player: seconds of an answer")
    parser.add_argument("--save", help=f"a file instead of a window: {', '.join(KINDS)}")
    parser.add_argument("--size", type=int | None, help="pixels an edge of a picture")
    parser.add_argument("--device", type=str | None, help="default: a GPU if there is one")
    return parser


def run(args: dict[str, Any], argv: list[str]) -> int:
    """Collect what is to be seen, then show or save it."""
    if args["save"] and Path(args["save"]).suffix.lower() not in KINDS:
        raise ValueError(f"save must end in one of {', '.join(KINDS)}, got {args['save']}")
    from pcmamba.cli._view_events import recordings_of, samples_of, save_recordings
    from pcmamba.cli._view_targets import collect

    recordings = recordings_of(args)
    if args["form"] != "cloud":
        if not recordings or not args["save"]:
            lacking = "recordings of events" if not recordings else "--save"
            raise ValueError(f"form must be cloud without {lacking}, got {args['form']}")
        for path in save_recordings(recordings, Path(args["save"]), args):
            print(f"wrote {path}")
        return 0
    samples = samples_of(recordings) or collect(args)
    if args["save"]:
        for path in save(samples, Path(args["save"]), args):
            print(f"wrote {path}")
        return 0
    return _show(samples, args)


def save(samples: list[Sample], path: Path, args: dict[str, Any]) -> list[Path]:
    """Write one file a sample, or one page of all, and return their paths."""
    from pcmamba.viz.save import SIZE, numbered, save_ply, save_png
    from pcmamba.viz.scene import make_scene
    from pcmamba.viz.turntable import SIZE as TURNTABLE_SIZE
    from pcmamba.viz.turntable import save_turntable

    kind = path.suffix.lower()
    if kind == ".html":
        from pcmamba.viz.cloud_page import save_cloud_page

        save_cloud_page(path, samples, color=args["color"], order=args["order"], **_coloring(args))
        return [path]
    paths = list(numbered(path, len(samples)))
    for sample, target in zip(samples, paths, strict=True):
        scene = make_scene(
            sample, args["color"], order=args["order"], line=args["line"], **_coloring(args)
        )
        if kind == ".png":
            save_png(target, scene, args["size"] or SIZE)
        elif kind == ".ply":
            save_ply(target, sample, scene)
        else:
            save_turntable(target, scene, args["size"] or TURNTABLE_SIZE)
    return paths


def _coloring(args: dict[str, Any]) -> dict[str, Any]:
    return {"depth": args["depth"], "palette": args["palette"]}


def _show(samples: list[Sample], args: dict[str, Any]) -> int:
    """Open a window; where none opens, say why and save a picture instead."""
    from pcmamba.viz.scene import make_scene
    from pcmamba.viz.window import show_window

    shown = {"order": args["order"], "line": args["line"], **_coloring(args)}
    # A mistake is to be told here, not by the process of the window.
    make_scene(samples[0], args["color"], **shown)
    try:
        show_window(samples, mode=args["color"], **shown)
    except (ImportError, OSError) as error:
        print(f"pcmamba: {one_line(error)}; drawn to a file instead", file=sys.stderr)
        for path in save(samples, Path("view.png"), args):
            print(f"wrote {path}")
    return 0

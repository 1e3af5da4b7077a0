"""What `pcmamba view` makes of recordings: clouds, strips of frames, players, spike rasters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcmamba.data.events import Events
    from pcmamba.train.event_predictor import EventPredictor
    from pcmamba.viz.event_player import Answers
    from pcmamba.viz.sample import Sample

ALWAYS = (".aedat", ".aedat4", ".bin", ".bs2", ".dat", ".raw")  # extensions of nothing else
STEPS = 40


def recordings_of(args: dict[str, Any]) -> list[Events]:
    """Return the recordings that the options name; none where they name clouds."""
    name = args["data"]["name"]
    if name is not None:
        return _of_set(args, name)
    files = args["target"]
    if not files or not (args["events"] or all(Path(f).suffix.lower() in ALWAYS for f in files)):
        return []
    from pcmamba.data.readers.events import read_events

    return [replace(read_events(file), source=Path(file).name) for file in files]


def _of_set(args: dict[str, Any], name: str) -> list[Events]:
    from pcmamba.data.datasets import DATASETS

    if getattr(DATASETS[name], "domain", "clouds") != "events":
        return []
    from pcmamba.cli._command import cloud_set_of

    found: Any = cloud_set_of(args, None)
    rows = args["index"] or [0]
    for row in rows:
        if not 0 <= row < len(found):
            raise ValueError(f"index must be 0 to {len(found) - 1}, got {row}")
    classes = [found.class_names[int(found.labels[row])] for row in rows]
    return [
        replace(found.recording(row), source=f"{found.name} {found.split} {row} · {class_name}")
        for row, class_name in zip(rows, classes, strict=True)
    ]


def samples_of(recordings: list[Events]) -> list[Sample]:
    """Return the recordings as clouds of (x, t, y)."""
    from pcmamba.viz.event_cloud import sample_of_events

    return [sample_of_events(events) for events in recordings]


def save_recordings(recordings: list[Events], path: Path, args: dict[str, Any]) -> list[Path]:
    """Write a strip, a player or a raster of each recording.

    Raises:
        ValueError: The form does not fit the kind of file, or a raster has no spiking model.
    """
    from pcmamba.viz.save import numbered

    wanted = {"strip": ".png", "raster": ".png", "player": ".html"}[args["form"]]
    if path.suffix.lower() != wanted:
        raise ValueError(f"save must end in {wanted} for a {args['form']}, got {path}")
    paths = list(numbered(path, len(recordings)))
    for events, target in zip(recordings, paths, strict=True):
        if args["form"] == "strip":
            from pcmamba.viz.event_strip import save_event_strip

            save_event_strip(target, events, args["frames"])
        elif args["form"] == "raster":
            _save_raster(target, events, args)
        else:
            from pcmamba.viz.event_player import save_event_player

            answers = _answers(events, args) if args["model"] else None
            save_event_player(target, events, title=events.source, answers=answers)
    return paths


def _predictor(args: dict[str, Any]) -> EventPredictor:
    from pcmamba.train.event_predictor import EventPredictor
    from pcmamba.train.predictor import load

    if not args["model"]:
        raise ValueError(f"model must be given for a {args['form']}: --model CKPT")
    predictor: Any = load(args["model"], args["device"])
    if not isinstance(predictor, EventPredictor):
        raise ValueError(f"model must be of events, got {predictor.model.name}")
    return predictor


def _save_raster(target: Path, events: Events, args: dict[str, Any]) -> None:
    from pcmamba.viz.spike_raster import save_spike_raster

    predictor = _predictor(args)
    title = f"{predictor.model.name} on {events.source}"
    save_spike_raster(target, predictor.spikes(events), title=title)


def _answers(events: Events, args: dict[str, Any]) -> Answers:
    """Ask the model about the window that ends at each of some times."""
    from pcmamba.viz.event_player import Answers

    predictor = _predictor(args)
    names = tuple(predictor.model.class_names)
    window = round(args["window"] * 1e6)
    times, rows = [], []
    for step in range(1, STEPS + 1):
        end = events.duration * step // STEPS
        part = events.between(max(end - window, 0), end + 1)
        if len(part):
            found = predictor.predict(part, top=len(names))
            shares = dict(zip(found.class_names, found.probabilities, strict=True))
            times.append(end)
            rows.append(tuple(shares[name] for name in names))
    title = f"{predictor.model.name} on the last {args['window']:g} s"
    return Answers(tuple(times), names, tuple(rows), title)

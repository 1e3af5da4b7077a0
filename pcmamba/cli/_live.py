"""The running prediction of a stream, in the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from pcmamba.models.stream import ClipStream, StreamPrediction

PIECE_US = 10_000  # a recording is pushed in pieces of this length
BAR = 40  # characters of a bar


def show_stream(
    stream: ClipStream, file: str, args: dict[str, Any], reading: dict[str, Any]
) -> dict[str, Any]:
    """Play a recording into a stream and show what the model takes it for.

    On a terminal one table is kept up to date; elsewhere a line is written for each answer that
    differs from the one before. Returns the last answer and all before it, for JSON.
    """
    from rich.console import Console
    from rich.live import Live

    answers: list[dict[str, Any]] = []
    console, label = Console(), None
    shown = console.is_terminal and not args["json"]
    live = Live(console=console, auto_refresh=False)
    with live if shown else nullcontext():
        for answer in _play(stream, file, args["speed"], reading):
            answers.append(_row(answer, args["top"]))
            if shown:
                live.update(_table(file, answer, args["top"]), refresh=True)
            elif not args["json"] and answer.label != label:
                label = answer.label
                print(_line(file, answer))
    if not answers:
        raise ValueError(f"{file}: recording must have at least one event, got none")
    if not args["json"] and not shown:
        print(f"{file}: at the end {_line(file, answer).partition(': ')[2]}")
    return {"source": file, **answers[-1], "running": answers}


def _play(
    stream: ClipStream, file: str, speed: float, reading: dict[str, Any]
) -> Iterator[StreamPrediction]:
    """Push a recording piece by piece; yield each answer that a whole frame gave."""
    from pcmamba.train.event_predictor import open_recording, pieces

    events = open_recording(file, **reading)
    stream.reset()
    clock, frames = time.perf_counter(), 0
    for start, piece in pieces(events, PIECE_US):
        if speed > 0:
            due = clock + (start + PIECE_US) / 1e6 / speed
            time.sleep(max(0.0, due - time.perf_counter()))
        answer = stream.push(piece)
        if answer is not None and answer.frames > frames:
            frames = answer.frames
            yield answer
    answer = stream.finish()
    if answer is not None and answer.frames > frames:
        yield answer


def _best(answer: StreamPrediction, top: int) -> list[tuple[str, float, float]]:
    rows = zip(answer.class_names, answer.probabilities, answer.recent, strict=True)
    return sorted(rows, key=lambda row: -row[1])[:top]


def _row(answer: StreamPrediction, top: int) -> dict[str, Any]:
    classes = [{"name": n, "probability": p, "recent": r} for n, p, r in _best(answer, top)]
    return {"classes": classes, "frames": answer.frames, "end_us": answer.end_us}


def _line(file: str, answer: StreamPrediction) -> str:
    share = max(answer.probabilities)
    return f"{file}: {answer.end_us / 1e6:8.2f} s  {answer.label} {share:.1%}"


def _table(file: str, answer: StreamPrediction, top: int) -> Table:
    from rich.table import Table

    title = f"{Path(file).name}  {answer.end_us / 1e6:.2f} s  frame {answer.frames}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("so far", "", "", "this clip"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, share, recent in _best(answer, top):
        bar = "█" * round(BAR * share)
        table.add_row(f"{share:.1%}", name, f"{bar:<{BAR}}", f"{recent:.1%}")
    return table

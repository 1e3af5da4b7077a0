"""One HTML page that plays a recording, with a model's answers over time below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcmamba.data.events import Events
from pcmamba.viz.event_picture import BRIGHTER, DARKER
from pcmamba.viz.html_page import COLORS
from pcmamba.viz.page_data import PageData, fill_template
from pcmamba.viz.save import replace_file
from pcmamba.viz.scene import triple

MOST_EVENTS = 2_000_000
MOST_CURVES = len(COLORS)


@dataclass(frozen=True)
class Answers:
    """Probabilities of classes over a recording's time.

    Attributes:
        times_us: When each answer was given, microseconds of the recording.
        class_names: Names of the classes.
        probabilities: For each time, of each class.
        title: How they came about, in words.
    """

    times_us: tuple[int, ...]
    class_names: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    title: str = "answer"


def save_event_player(path: Path, events: Events, **options: Any) -> None:
    """Write a page; options as in `event_player`."""
    content = event_player(events, **options)
    replace_file(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def event_player(
    events: Events,
    *,
    title: str = "",
    answers: Answers | None = None,
    most_events: int = MOST_EVENTS,
) -> str:
    """Return a self-contained page: frames of an adjustable window, a rate curve, the answers.

    Above `most_events`, every n-th event is shown, with a note.

    Raises:
        ValueError: There are no events, or times reach 2**32 microseconds (71 minutes).
    """
    if len(events) == 0:
        raise ValueError("events must hold at least one, got none")
    if events.t[-1] >= 1 << 32:
        raise ValueError(
            f"events must end before 4,294 s to be played, got {events.t[-1] / 1e6:,.0f} s; "
            "cut them with between()"
        )
    step = -(-len(events) // most_events)
    thinned = (f"plays one in {step} of {len(events):,} events",) if step > 1 else ()
    data, shown = PageData(), slice(None, None, step)
    columns = {
        name: data.add(getattr(events, name)[shown], kind)
        for name, kind in (("x", "u2"), ("y", "u2"), ("t", "u4"), ("p", "u1"))
    }
    meta = {
        "title": title or events.source,
        "columns": columns,
        "resolution": list(events.resolution_hw),
        "duration": max(int(events.t[-1]), 1),
        "colors": [list(triple(DARKER)), list(triple(BRIGHTER))],
        "notes": [*thinned, *events.notes],
        "answers": None if answers is None else _curves(answers),
    }
    return fill_template("event_player", title or "recording", meta, data)


def _curves(answers: Answers) -> dict[str, Any]:
    """Keep the classes that are ever most probable, then those of the highest mean."""
    table = np.asarray(answers.probabilities, dtype=np.float64)
    first = dict.fromkeys(table.argmax(axis=1).tolist())
    rest = np.argsort(-table.mean(axis=0), kind="stable").tolist()
    chosen: Sequence[int] = list(dict.fromkeys([*first, *rest]))[:MOST_CURVES]
    return {
        "title": answers.title,
        "times": list(answers.times_us),
        "curves": [
            {
                "name": answers.class_names[k],
                "color": COLORS[number],
                "values": [round(float(value), 4) for value in table[:, k]],
            }
            for number, k in enumerate(chosen)
        ],
    }

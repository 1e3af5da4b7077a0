"""The description of a recording: numbers by hand, hot pixels found and edges not."""

from __future__ import annotations

import numpy as np

from pcmamba.cli import main
from pcmamba.data import Events, write_events
from pcmamba.data.recording_report import hot_pixels, pixel_counts, report_recording


def recording() -> Events:
    """60 events of pixel (3, 2) among a bar that crosses a sensor of 8 x 6 in 0.5 s."""
    x = np.concatenate([np.repeat(np.arange(8), 6), np.full(60, 3)])
    y = np.concatenate([np.tile(np.arange(6), 8), np.full(60, 2)])
    t = np.concatenate([np.repeat(np.arange(8) * 60_000, 6), np.linspace(0, 500_000, 60)])
    p = np.concatenate([np.ones(48), np.zeros(60)])
    return Events.from_arrays(x, y, t, p, (6, 8), notes=("made by hand",))


def test_numbers_by_hand():
    assert report_recording(recording()) == [
        "events: 108",
        "duration: 0.5 s, first at 0.000000 s of the file",
        "rate: 216 events/s on average, 800 in the busiest 10 ms",
        "sensor: 8 x 6 pixels, 48 of them (100%) fired",
        "polarity: 44.4% of the events brighter",
        "hot pixels: 1 with 56.5% of the events, (x, y) (3, 2)",
        "note: made by hand",
        "note: times fell at 1 places and were sorted",
    ]


def test_counts_of_pixels_and_a_bar_is_not_hot():
    counts = pixel_counts(recording())
    assert counts.shape == (6, 8) and counts[2, 3] == 61 and counts.sum() == 108
    assert hot_pixels(np.pad(np.full((4, 2), 500), 3)).tolist() == []
    assert hot_pixels(np.eye(1, 9, 4, dtype=int).reshape(3, 3) * 11).tolist() == [[1, 1]]
    assert hot_pixels(np.eye(1, 9, 4, dtype=int).reshape(3, 3) * 10).tolist() == []


def test_an_empty_recording_is_described():
    assert report_recording(Events.empty((2, 2)))[0] == "events: 0"


def test_the_command_describes_a_file(tmp_path, capsys):
    write_events(tmp_path / "a.npz", recording())
    assert main(["data", "info", str(tmp_path / "a.npz")]) == 0
    assert "events: 108" in capsys.readouterr().out
    options = "{resolution_hw: [60, 80]}"
    assert main(["data", "info", str(tmp_path / "a.npz"), "--options", options]) == 0
    assert "sensor: 80 x 60 pixels" in capsys.readouterr().out
    assert main(["data", "info", str(tmp_path / "b.npz")]) != 0

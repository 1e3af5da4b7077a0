"""`pcmamba view` on recordings of events."""

from __future__ import annotations

import numpy as np
import pytest

from pcmamba.cli import main
from pcmamba.data.event_writers import write_events
from pcmamba.data.events import Events
from pcmamba.models import create_model

GESTURES = ["--data.name=gestures", "--data.options={train_size: 10, test_size: 10, side: 16}"]


@pytest.fixture
def recording(tmp_path):
    draw = np.random.default_rng(0)
    t = np.sort(draw.integers(0, 50_000, 300))
    place = draw.integers(0, 16, (2, 300))
    events = Events.from_arrays(*place, t, draw.integers(0, 2, 300), (16, 16))
    path = tmp_path / "rec.npz"
    write_events(path, events)
    return path


def test_a_file_as_cloud_strip_and_player(recording, tmp_path, capsys) -> None:
    for form, name in (("cloud", "c.png"), ("strip", "s.png"), ("player", "p.html")):
        target = tmp_path / name
        argv = ["view", str(recording), "--events", "--form", form, "--save", str(target)]
        assert main(argv) == 0
        assert target.stat().st_size > 1000
    assert "rec.npz" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.count("wrote") == 3


def test_recordings_of_a_set(tmp_path) -> None:
    argv = ["view", *GESTURES, "--index", "0", "3", "--form", "strip"]
    assert main([*argv, "--save", str(tmp_path / "s.png")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s-1.png", "s-2.png"]


def test_spikes_of_a_model(recording, tmp_path) -> None:
    model = create_model("spikmamba_small", 3, in_channels=2, image_hw=(16, 16), channels=8)
    model.preprocessing = model.default_preprocessing()
    model.save_pretrained(tmp_path / "model")
    argv = ["view", str(recording), "--events", "--form=raster", f"--model={tmp_path / 'model'}"]
    assert main([*argv, f"--save={tmp_path / 'r.png'}"]) == 0
    assert (tmp_path / "r.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--form=strip", "--save=a.html"], "save must end in .png for a strip"),
        (["--form=raster", "--save=a.png"], "model must be given for a raster"),
        (["--form=player"], "form must be cloud without --save"),
        (["--index", "10", "--save=a.png"], "index must be 0 to 9, got 10"),
    ],
)
def test_mistakes_are_told(argv, message, capsys) -> None:
    assert main(["view", *GESTURES, *argv]) == 2
    assert message in capsys.readouterr().err

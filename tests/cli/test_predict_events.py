"""`pcmamba predict` on recordings of events: whole, by windows, as a stream."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from pcmamba import cli
from pcmamba.models import create_model
from pcmamba.testing.moving_dots import CLASSES, moving_dot

SMALL = {
    "channels": 16, "heads": 2, "depth": 1, "num_frames": 4, "image_hw": (16, 16), "in_channels": 2,
    "scan": "frame",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = create_model("spikmamba_small", num_classes=3, **SMALL)
    made.class_names = CLASSES
    folder = tmp_path_factory.mktemp("models") / "model"
    made.save_pretrained(folder)
    yield folder
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    events = moving_dot(0, 7)
    path = tmp_path_factory.mktemp("recordings") / "dot.npz"
    np.savez(path, x=events.x, y=events.y, t=events.t, p=events.p)
    return path


def predict(capsys, *argv):
    code = cli.main(["predict", *map(str, argv), "--t_unit=us"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_whole_recording_in_text_and_json(model, recording, capsys):
    code, out, err = predict(capsys, model, recording)
    assert (code, err) == (0, "")
    assert out.startswith(f"{recording}: ") and out.count("%") == 3
    assert "4 frames of equal events, histogram, 16 x 16" in out
    [row] = json.loads(predict(capsys, model, recording, "--json", "--top=2")[1])
    assert [c["name"] in CLASSES for c in row["classes"]] == [True, True]
    assert row["source"] == str(recording) and row["num_events"] > 50


def test_windows_are_rows_of_their_own(model, recording, capsys):
    rows = json.loads(predict(capsys, model, recording, "--window=0.02", "--json")[1])
    assert [row["note"][:11] for row in rows] == ["from 0.00 s", "from 0.02 s", "from 0.04 s"]


def test_a_stream_ends_with_what_all_its_frames_give(model, recording, capsys):
    options = ("--stream", "--frame_ms=10")
    code, out, err = predict(capsys, model, recording, *options)
    assert (code, err) == (0, "")
    assert f"{recording}: at the end" in out
    [row] = json.loads(predict(capsys, model, recording, *options, "--json")[1])
    assert [answer["frames"] for answer in row["running"]] == [1, 2, 3, 4, 5]
    assert row["classes"] == row["running"][-1]["classes"]
    from pcmamba.data.readers.events import read_events
    from pcmamba.train.predictor import load

    stream = load(model, "cpu").stream(frame_us=10_000)
    events = read_events(recording, t_unit="us")
    stream.push(events)
    at_once = stream.finish()
    shares = dict(zip(at_once.class_names, at_once.probabilities, strict=True))
    for entry in row["classes"]:
        assert entry["probability"] == pytest.approx(shares[entry["name"]], abs=1e-5)


def test_a_terminal_gets_one_table(model, recording, capsys, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    code, out, _ = predict(capsys, model, recording, "--stream", "--frame_ms=10")
    assert code == 0
    assert "frame 5" in out and "so far" in out and "█" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--up-axis=y"], "up_axis must be given for models of clouds alone, got it for spikmamba"),
        (["--save=x.png"], "save must be given for models of clouds alone"),
        (["--stream", "--window=1"], "window must not be given beside stream"),
        (["--stream", "--frame_ms=1", "--frame_events=5"], "got both"),
        (["--resolution_hw=[3]"], r"resolution_hw must be \[H, W\], got \[3\]"),
    ],
)
def test_options_that_do_not_fit_are_named(model, recording, options, message, capsys):
    code, _, err = predict(capsys, model, recording, *options)
    assert code in (1, 2)
    assert re.search(message, err), err


def test_one_bad_recording_does_not_stop_the_others(model, recording, tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"12345")
    code, out, err = predict(capsys, model, tmp_path / "bad.npz", recording, "--json")
    rows = json.loads(out)
    assert code == 1 and "error" in rows[0] and rows[1]["classes"]
    assert "bad.npz" in err and err.count("\n") == 1

"""Windows open, draw, obey keys, name a picked point, save, close; or say why they do not."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pcmamba.viz import window
from pcmamba.viz.palette import LABELS
from pcmamba.viz.sample import Sample
from pcmamba.viz.sample_file import read_samples, write_samples

from .conftest import wait_for

GRID = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3), axis=-1).reshape(-1, 3)
CUBE = Sample(
    GRID.astype(np.float32),
    title="cube",
    labels=np.zeros(len(GRID), np.int64),
    label_names=("block",),
)
BALL = Sample(
    GRID[np.linalg.norm(GRID, axis=1) < 1].astype(np.float32),
    title="ball",
    labels=np.ones(int((np.linalg.norm(GRID, axis=1) < 1).sum()), np.int64),
    label_names=("block", "round"),
)


@pytest.mark.slow
@pytest.mark.timing  # drawn in software: beside other tests it may take minutes
@pytest.mark.parametrize("viewer", window.VIEWERS)
def test_a_window_opens_draws_obeys_keys_saves_and_closes(viewer, display, tmp_path):
    pytest.importorskip("open3d")
    write_samples(tmp_path / "samples.npz", [CUBE, BALL], {"mode": "part"})
    command = [sys.executable, "-m", "pcmamba.viz.window_process", viewer, "samples.npz"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=display.environment, stdout=out, stderr=err
        )
    try:
        opened = display.window("pcmamba view")
        wait_for(lambda: display.shows(LABELS[0], 2000))
        if viewer == "current":
            display.shift_click(560, 420)
            wait_for(lambda: "label block" in (tmp_path / "out").read_text())
        display.press(opened, "n")
        wait_for(lambda: display.shows(LABELS[1], 2000) and not display.shows(LABELS[0], 2000))
        display.press(opened, "s")
        wait_for(lambda: (tmp_path / "view-1.png").is_file())
        display.press(opened, "c")
        wait_for(lambda: not display.shows(LABELS[1], 2000))
        display.press(opened, "q")
        assert process.wait(120) == 0
    except BaseException:
        print((tmp_path / "out").read_text(), (tmp_path / "err").read_text())
        raise
    finally:
        process.kill()
        process.wait()
    assert "wrote view-1.png" in (tmp_path / "out").read_text()


def test_without_a_display_the_command_draws_a_picture_and_says_why(tmp_path):
    np.save(tmp_path / "a.npy", GRID.astype(np.float32))
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "pcmamba.cli", "view", "a.npy", "--size=100"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "wrote view.png\n"), done.stderr
    assert "needs a display" in done.stderr
    assert (tmp_path / "view.png").is_file()


def test_without_open3d_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(window.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs open3d: pip install 'pcmamba\[viz\]'"):
        window.show_window([CUBE])


def test_a_failing_viewer_gives_way_to_the_legacy_one_and_then_to_a_message(monkeypatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    tried = []

    def run(viewer, path):
        tried.append((viewer, read_samples(path)[1]))
        return codes[len(tried) - 1], "no driver"

    monkeypatch.setattr(window, "_run", run)
    codes = [-11, 0]
    window.show_window([CUBE], mode="part")
    assert tried == [("current", {"mode": "part"}), ("legacy", {"mode": "part"})]
    tried.clear()
    codes = [-11, 3]
    with pytest.raises(OSError, match=r"no window opens .current viewer: no driver; legacy viewer"):
        window.show_window([CUBE], mode="part")


@pytest.mark.skipif(sys.platform != "linux", reason="asks an X display")
def test_a_display_that_does_not_answer_is_a_message(monkeypatch):
    """Open3D's current viewer would run without a window for ever."""
    pytest.importorskip("open3d")
    monkeypatch.setenv("DISPLAY", ":9999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OSError, match="needs a display, :9999 does not answer"):
        window.show_window([CUBE])


def test_samples_survive_the_way_to_the_other_process(tmp_path):
    full = Sample(
        CUBE.points,
        labels=CUBE.labels,
        predicted_labels=CUBE.labels + 1,
        confidence=0.5,
        class_name="a",
        class_names=("a", "b"),
        notes=("x",),
        colors=np.full((len(GRID), 3), 7, np.uint8),
    )
    write_samples(tmp_path / "a.npz", [full, BALL], {"mode": "auto", "depth": None})
    (first, second), options = read_samples(tmp_path / "a.npz")
    assert options == {"mode": "auto", "depth": None}
    assert second.title == "ball"
    for name in Sample.__dataclass_fields__:
        assert np.array_equal(getattr(first, name), getattr(full, name)), name
        assert type(getattr(first, name)) is type(getattr(full, name))

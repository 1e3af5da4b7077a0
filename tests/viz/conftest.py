"""A display in memory, its pixels and its keyboard; needs Xvfb and xdotool."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest


def needed(program: str) -> str:
    """Return a program's path; without it, skip, but fail where CI is set."""
    found = shutil.which(program)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{program} must be installed for this test: sh tools/setup_display.sh")
    if found is None:
        pytest.skip(f"needs {program}: sh tools/setup_display.sh")
    return found


class Display:
    """A running Xvfb."""

    def __init__(self, folder: Path) -> None:
        xvfb, self.xdotool = needed("Xvfb"), needed("xdotool")
        read, write = os.pipe()
        command = [xvfb, "-displayfd", str(write), "-screen", "0", "1280x1000x24"]
        command += ["-fbdir", str(folder), "-nolisten", "tcp"]
        self.server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.name = f":{pipe.readline().strip()}"
        self.folder = folder
        self.environment = {**os.environ, "DISPLAY": self.name}
        self.environment.pop("WAYLAND_DISPLAY", None)

    def window(self, title: str, seconds: float = 240) -> str:
        """Wait for a window and return its number."""
        return wait_for(lambda: self._call("search", "--name", title).split()[-1:], seconds)[0]

    def press(self, window: str, key: str) -> None:
        self._call("key", "--window", window, key)

    def shift_click(self, x: int, y: int) -> None:
        self._call("mousemove", str(x), str(y))
        self._call("keydown", "shift")
        self._call("click", "1")
        self._call("keyup", "shift")

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [self.xdotool, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def pixels(self) -> np.ndarray:
        """Return the screen (height, width, 3), which the server keeps in a file."""
        content = (self.folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(content[:100], ">u4")
        width, height, stride = int(header[4]), int(header[5]), int(header[12])
        first = int(header[0]) + 12 * int(header[19])
        rows = np.frombuffer(content, np.uint8, height * stride, first).reshape(height, stride)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]

    def shows(self, color: np.ndarray, least: int = 30) -> bool:
        return int((self.pixels() == color).all(axis=2).sum()) >= least

    def close(self) -> None:
        self.server.terminate()
        self.server.wait(20)


def wait_for(ask, seconds: float = 240):
    """Ask until the answer is true and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"nothing happened for {seconds} s")


@pytest.fixture
def display(tmp_path_factory):
    made = Display(tmp_path_factory.mktemp("display"))
    yield made
    made.close()

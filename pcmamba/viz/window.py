"""Open a window on samples in a process of its own, so that a failing driver ends that alone."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcmamba.viz.sample import Sample
from pcmamba.viz.sample_file import write_samples

VIEWERS = ("current", "legacy")
CLOSED, NO_WINDOW = 0, 3


def show_window(samples: Sequence[Sample], **options: Any) -> None:
    """Show samples in Open3D's current viewer, else in its legacy window; return when it is closed.

    Args:
        samples: To step through with the keys N and P.
        options: Arguments of `Stepper`: mode, order, depth, line, palette.

    Raises:
        ImportError: open3d is missing; says how to install it.
        OSError: No window opens; says what each viewer said.
    """
    if importlib.util.find_spec("open3d") is None:
        raise ImportError("the window needs open3d: pip install 'pcmamba[viz]'")
    if sys.platform.startswith("linux") and not os.environ.get("WAYLAND_DISPLAY"):
        _check_x_display(os.environ.get("DISPLAY"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.npz"
        write_samples(path, samples, options)
        said = []
        for viewer in VIEWERS:
            code, last = _run(viewer, path)
            if code == CLOSED:
                return
            said.append(f"{viewer} viewer: {last or f'exit code {code}'}")
    raise OSError(f"no window opens ({'; '.join(said)})")


def _check_x_display(name: str | None) -> None:
    """Raise OSError for an X display that is not named or does not answer.

    On one that does not answer, Open3D's current viewer would run without a window for ever.
    """
    if not name:
        raise OSError("the window needs a display, DISPLAY and WAYLAND_DISPLAY are not set")
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    opened = x11.XOpenDisplay(name.encode())
    if not opened:
        raise OSError(f"the window needs a display, {name} does not answer")
    x11.XCloseDisplay(ctypes.c_void_p(opened))


def _run(viewer: str, path: Path) -> tuple[int, str]:
    """Run one viewer to its end; return its exit code and the last line of its complaints."""
    command = [sys.executable, "-m", "pcmamba.viz.window_process", viewer, str(path)]
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        code = subprocess.run(command, stderr=complaints, check=False).returncode
        complaints.seek(0)
        lines = [line.strip() for line in complaints if line.strip()]
    return code, lines[-1] if lines else ""

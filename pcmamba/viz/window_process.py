"""The process behind a window: `python -m pcmamba.viz.window_process current|legacy SAMPLES`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pcmamba.viz.sample_file import read_samples
from pcmamba.viz.stepper import Stepper
from pcmamba.viz.window import NO_WINDOW


def main(viewer: str, path: Path) -> int:
    """Show the samples until the window is closed; return 0, or 3 where none opens."""
    _keep_drivers_quiet()
    samples, options = read_samples(path)
    stepper = Stepper(samples, **options)
    try:
        if viewer == "current":
            from pcmamba.viz.current_viewer import show
        else:
            from pcmamba.viz.legacy_viewer import show
        show(stepper)
    except (RuntimeError, ImportError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return NO_WINDOW
    return 0


def _keep_drivers_quiet() -> None:
    """Leave standard output to our own words: what Open3D's engine says goes to the complaints."""
    ours = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(ours, "w", buffering=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

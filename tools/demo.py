"""The main job on built-in data: train pcm_nano, evaluate it, label one held-out cloud, draw it.

Run it by `make demo`. Each run gets its own folder under runs/.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from pcmamba.cli import main
from pcmamba.data.datasets import DATASETS
from pcmamba.data.structures import PointCloud
from pcmamba.data.writers import write_ply

HELD_OUT = 6  # the seventh cloud of the test split


def step(title: str, *arguments: str) -> None:
    """Run one pcmamba command, shown as a user would type it; stop where it fails."""
    print(f"\n== {title}\n$ pcmamba {shlex.join(arguments)}", flush=True)
    code = main(arguments)
    if code:
        sys.exit(code)


def held_out_cloud(path: Path) -> str:
    """Write one synthetic cloud the model has not seen as a PLY file; return its true class."""
    shapes = DATASETS["shapes"](root=None).load("test")
    write_ply(path, PointCloud(xyz=shapes.points[HELD_OUT].numpy()))
    return shapes.class_names[int(shapes.labels[HELD_OUT])]


run = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
step("Train on synthetic shapes", "train", "shapes/pcm_nano", "--out", str(run))
step("Evaluate on held-out shapes", "evaluate", str(run), "--out", str(run / "evaluation"))
cloud, picture = run / "held_out.ply", run / "held_out.png"
truth = held_out_cloud(cloud)
step("What is this file?", "predict", str(run), str(cloud), "--save", str(picture))
print(
    f"""
The held-out cloud is a {truth} (synthetic).

model          {run / "model"}
metrics        {run / "metrics.csv"}  {run / "curves.png"}  {run / "result.json"}
evaluation     {run / "evaluation"}
cloud          {cloud}
picture        {picture}

Next: .venv/bin/pcmamba predict {run} YOUR_SCAN.ply --save scan.png"""
)

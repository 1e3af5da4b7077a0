"""The kernels on points compile for a GPU that need not be there, and round as everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("compile_points.py")
KERNELS = Path(__file__).resolve().parents[2] / "kernels"


def test_no_kernel_spills_or_fuses_a_multiply_with_an_add(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    run = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    table = json.loads(run.stdout)
    assert table.pop("knn 16 fused")["FFMA"] > 0, "the search for FFMA finds none at all"
    assert len(table) == 6
    for case, used in table.items():
        assert used["STACK"] == used["LOCAL"] == 0, f"{case} spills: {used}"
        assert used["FFMA"] == 0, f"{case} rounds otherwise than the CPU: {used}"


def test_every_launch_forbids_fusion() -> None:
    for name in ("farthest_point_sample", "knn", "ball_query"):
        text = (KERNELS / f"{name}_triton.py").read_text()
        assert text.count("_kernel[") == text.count("enable_fp_fusion=False") > 0

"""The kernels of lif, events and serialization compile for GPUs that need not be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcmamba.kernels import _nvrtc

SCRIPT = Path(__file__).with_name("compile_events.py")
KERNELS = Path(__file__).resolve().parents[2] / "kernels"
EVENTS = [("XY", "int16"), ("TIME", "int64"), ("SIGN", "uint8")]


@pytest.mark.slow
@pytest.mark.parametrize("arch", [80, 90])
def test_no_kernel_spills_more_than_a_few_registers(tmp_path: Path, arch: int) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    run = subprocess.run(
        [sys.executable, SCRIPT, str(arch)], env=environment, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    table = json.loads(run.stdout)
    assert len(table) == 14
    for case, used in table.items():
        # Thirty-two potentials and as many inputs in flight are at the limit of 255 registers.
        assert used["STACK"] <= (64 if case == "lif bwd 32" else 0), f"{case} spills: {used}"
    assert table["lif fwd"]["REG"] <= 40


def test_launches_that_round_forbid_fusion() -> None:
    assert '"enable_fp_fusion": False' in (KERNELS / "lif_triton.py").read_text()
    text = (KERNELS / "events_triton.py").read_text()
    share = text[text.index("_share_kernel[") : text.index("_grid_kernel[")]
    assert "enable_fp_fusion=False" in share


@pytest.mark.skipif(_nvrtc.find_library() is None, reason="needs NVRTC")
@pytest.mark.parametrize("arch", [80, 90])
def test_cuda_sources_compile(tmp_path: Path, arch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path))
    for mode in (0, 2):
        code = _nvrtc.compile_source("events", (*EVENTS, ("MODE", mode)), arch)
        assert code.startswith(b"\x7fELF")
    neuron = (("HARD", 1), ("DECAY", 1), ("EXACT", 0), ("DETACH", 0), ("SURROGATE", 1))
    for kind, width, steps in (("float", 4, 16), ("bfloat16", 2, 32), ("float16", 1, 5)):
        macros = (("IN", kind), ("WIDTH", width), *neuron, ("STEPS", steps))
        assert _nvrtc.compile_source("lif", macros, arch).startswith(b"\x7fELF")
    for cells in (0, 1):
        for points in (6, 12):
            variant = (("CELLS", cells), ("LOG_POINTS", points))
            assert _nvrtc.compile_source("serialize", variant, arch).startswith(b"\x7fELF")

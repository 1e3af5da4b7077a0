"""The kernels on sequences compile for GPUs that need not be there, and keep to their registers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("compile_sequences.py")
# Bytes that may go to the stack: tiles of 64 states, or of 32 steps, do not fit a backward pass.
SPILLS = {"_local_bwd_kernel M=16 S=64": 160, "_local_bwd_kernel M=32 S=16": 16}


def compiled(capability: int, folder: Path) -> dict[str, dict[str, int]]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder)
    command = [sys.executable, SCRIPT, str(capability)]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_spills_and_registers_are_bounded(capability: int, tmp_path: Path) -> None:
    table = compiled(capability, tmp_path)
    assert len(table) == 36
    for case, used in table.items():
        allowed = SPILLS.get(case.rpartition(" ")[0], 0)
        assert used["STACK"] <= allowed, f"{case} spills: {used}"
        if "norm" in case or "conv" in case:
            assert used["REG"] <= 168, f"{case} takes {used['REG']} registers"

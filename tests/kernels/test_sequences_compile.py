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
REGISTERS = {"norm": 168, "conv": 168, "sum_bwd": 168, "scan fwd": 168, "scan summary": 128}


def compiled(capability: int, pattern: str, folder: Path) -> dict[str, dict[str, int]]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder)
    command = [sys.executable, SCRIPT, str(capability), pattern]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "pattern", "count"),
    [(90, ".", 24), (80, "pair|scan|norm .* C=384|M=16 S=16", 15)],
    ids=["sm_90", "sm_80"],
)
def test_spills_and_registers_are_bounded(
    capability: int, pattern: str, count: int, tmp_path: Path
) -> None:
    table = compiled(capability, pattern, tmp_path)
    assert len(table) == count
    for case, used in table.items():
        assert used["STACK"] <= SPILLS.get(case, 0), f"{case} spills: {used}"
        for name, bound in REGISTERS.items():
            if name in case:
                assert used["REG"] <= bound, f"{case} takes {used['REG']} registers"
    shuffles = table["scan bwd"]["SHFL"]
    assert shuffles <= 40, "16 for each of dB and dC; an exchange of whole tiles takes 160"

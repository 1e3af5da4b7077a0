"""The CUDA kernels on points compile for GPUs that need not be there, and round as everywhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from pcmamba.kernels import _nvrtc

TRITON = importlib.util.find_spec("triton")
pytestmark = pytest.mark.skipif(
    _nvrtc.find_library() is None or TRITON is None, reason="needs NVRTC, and Triton's tools"
)
# Source, kernel, macros, most registers: 65536 shared by the threads that have to fit.
CASES = [
    ("farthest_point_sample", "sample_registers", {"THREADS": 256, "POINTS": 4}, 64),
    ("farthest_point_sample", "sample_registers", {"THREADS": 1024, "POINTS": 8}, 64),
    ("farthest_point_sample", "sample_boxes", {"THREADS": 512, "POINTS": 1}, 96),
    ("knn", "knn_all", {"LEVELS": 1}, 80),
    ("knn", "knn_tree", {"LEVELS": 3}, 64),
    ("knn", "knn_tree", {"LEVELS": 4}, 64),
    ("knn", "build_level", {"LEVELS": 3}, 64),
]


def inspect(code: bytes, kernel: str, folder: Path) -> tuple[dict[str, int], str]:
    """What a kernel takes, and its instructions."""
    binaries = Path(str(TRITON.origin)).parent / "backends" / "nvidia" / "bin"
    file = folder / "kernel.cubin"
    file.write_bytes(code)

    def run(tool: str, option: str) -> str:
        command = [binaries / tool, option, file]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    usage = re.search(rf"Function {kernel}:\s*(.*)", run("cuobjdump", "-res-usage"))[1]
    used = {key: int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("STACK", "LOCAL", "REG")}
    _, _, behind = run("nvdisasm", "-c").partition(f"\n.text.{kernel}:")
    return used, behind.partition("\n//-----")[0]


@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize(("source", "kernel", "macros", "most"), CASES)
def test_no_kernel_spills_or_fuses_a_multiply_with_an_add(
    source: str, kernel: str, macros: dict[str, int], most: int, arch: int, tmp_path: Path
) -> None:
    code = _nvrtc.compile_source(source, tuple(macros.items()), arch)
    used, instructions = inspect(code, kernel, tmp_path)
    assert used["STACK"] == used["LOCAL"] == 0 and used["REG"] <= most, f"{kernel}: {used}"
    assert ("FMUL" in instructions) == (kernel != "build_level")
    assert not re.search(r"\b(FFMA|LDL|STL)\b", instructions)


def test_curve_keys_compile() -> None:
    for arch in (80, 90):
        assert _nvrtc.compile_source("curve", (), arch).startswith(b"\x7fELF")

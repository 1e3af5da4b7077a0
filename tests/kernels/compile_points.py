"""Compile the kernels on points for sm_90 without a GPU and print what they use.

A script of its own: Triton compiles only in a process that does not interpret.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pcmamba.kernels import ball_query_triton, farthest_point_sample_triton, knn_triton

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
FLOAT_POINTERS = ("xyz_ptr", "query_ptr", "support_ptr", "dist2_ptr", "nearest_ptr")
SAMPLE = farthest_point_sample_triton._register_kernel
CASES = {
    "sample 1024": (SAMPLE, {"BLOCK_N": 1024}, 4),
    "sample 8192": (SAMPLE, {"BLOCK_N": 8192}, 32),
    "sample more": (farthest_point_sample_triton._memory_kernel, {"BLOCK_N": 4096}, 16),
    "knn 16": (knn_triton._knn_kernel, {"BLOCK_K": 16, "BLOCK_N": knn_triton.BLOCK_N}, 1),
    "knn 128": (knn_triton._knn_kernel, {"BLOCK_K": 128, "BLOCK_N": knn_triton.BLOCK_N}, 1),
    "ball": (ball_query_triton._ball_kernel, {"BLOCK_N": ball_query_triton.BLOCK_N}, 1),
}


def kind(name: str) -> str:
    """Type of a kernel's argument."""
    if name.startswith("BLOCK"):
        return "constexpr"
    if name.endswith("_ptr"):
        return "*fp32" if name in FLOAT_POINTERS else "*i64"
    return "fp32" if name == "limit" else "i32"


def resources(kernel, blocks: dict[str, int], warps: int, fusion: bool) -> dict[str, int]:
    """Bytes of stack, registers and fused multiply-adds of the compiled kernel."""
    names = kernel.arg_names
    source = ASTSource(kernel, signature={n: kind(n) for n in names}, constexprs=blocks)
    options = {"num_warps": warps, "enable_fp_fusion": fusion}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _run("cuobjdump", "-res-usage", file.name)
        code = _run("nvdisasm", "-c", file.name)
    used = {key: int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("STACK", "LOCAL", "REG")}
    return {**used, "FFMA": len(re.findall(r"\bFFMA\b", code))}


def _run(tool: str, *arguments: str) -> str:
    command = [BINARIES / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print a JSON table: case against what the launcher's kernel takes, and a fused one."""
    table = {name: resources(*case, fusion=False) for name, case in CASES.items()}
    table["knn 16 fused"] = resources(*CASES["knn 16"], fusion=True)
    print(json.dumps(table))


if __name__ == "__main__":
    main()

"""Compile the kernels of lif, events, serialization and rows without a GPU; print what they use.

A script of its own: Triton compiles only in a process that does not interpret.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pcmamba.kernels import events_triton, lif_triton, permute_rows_triton, serialize_triton

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
NEURON = {"HARD": True, "DECAY": True, "EXACT": True, "v0_ptr": None, "v_seq_ptr": None}
GRADIENT = {
    **NEURON, "grad_v_end_ptr": None, "grad_v_seq_ptr": None, "DETACH": True, "SURROGATE": 0,
}  # fmt: skip
FRAMES = {"BY_TIME": True, "BLOCK_E": events_triton.BLOCK_E}
CLOUD = {"KIND": 0, "scope_ptr": None}
CASES: dict[str, tuple[Any, dict[str, Any], int]] = {
    "lif fwd": (lif_triton._fwd_kernel, {**NEURON, "BLOCK_M": 512}, 4),
    "lif bwd 16": (lif_triton._bwd_kernel, {**GRADIENT, "T": 16, "BLOCK_M": 512}, 4),
    "lif bwd 32": (lif_triton._bwd_kernel, {**GRADIENT, "T": 32, "BLOCK_M": 256}, 4),
    "count": (events_triton._count_kernel, FRAMES, 4),
    "share": (
        events_triton._share_kernel,
        {"SIGNED": True, "NARROW": True, "BITS": 20, "BLOCK_E": events_triton.BLOCK_E},
        4,
    ),
    "grid": (events_triton._grid_kernel, {"NARROW": True, "BITS": 20, "BLOCK_P": 1024}, 4),
    "latest": (events_triton._latest_kernel, {**FRAMES, "at_ptr": None}, 4),
    "surface": (
        events_triton._surface_kernel,
        {"BY_TIME": False, "LINEAR": False, "at_ptr": None, "BLOCK_P": 1024},
        4,
    ),
    "bounds": (serialize_triton._bounds_kernel, {**CLOUD, "BLOCK_N": 1024}, 4),
    "extent": (serialize_triton._extent_kernel, {**CLOUD, "PARTS": 128}, 4),
    "invert": (serialize_triton._invert_kernel, {"BLOCK_N": 1024}, 4),
    "codes": (serialize_triton._code_kernel, {**CLOUD, "PARTS": 128, "BLOCK_N": 1024}, 4),
    "rows": (
        permute_rows_triton._move_kernel,
        {"PUT": False, "BLOCK_R": permute_rows_triton.BLOCK_R, "BLOCK_C": 128},
        4,
    ),
    "sort 256": (serialize_triton._small_kernel, {**CLOUD, "BLOCK_N": 256}, 2),
}
FLOAT = {"tau", "v_threshold", "v_reset", "alpha", "rate", "size"}
POINTERS = {
    "x_ptr": "*i16", "y_ptr": "*i16", "p_ptr": "*u8", "count_ptr": "*i32", "key_ptr": "*i32",
    "xyz_ptr": "*fp32", "parts_ptr": "*fp32", "surface_ptr": "*fp32", "extent_ptr": "*i32",
    "grid_ptr": "*fp32", "source_ptr": "*fp32", "target_ptr": "*fp32",
}  # fmt: skip


def kind(kernel_name: str, name: str) -> str:
    """Type of a kernel's argument."""
    if name.endswith("_ptr"):
        return "*fp32" if kernel_name.startswith("lif") else POINTERS.get(name, "*i64")
    if name in FLOAT:
        return "fp32"
    return "i64" if name in ("orders", "start", "E") else "i32"


def resources(name: str, arch: int) -> dict[str, int]:
    """Bytes of stack and registers of the compiled kernel, and its fused multiply-adds."""
    kernel, constants, warps = CASES[name]
    constants = {n: value for n, value in constants.items() if n in kernel.arg_names}
    types = {n: "constexpr" if n in constants else kind(name, n) for n in kernel.arg_names}
    source = ASTSource(kernel, signature=types, constexprs=constants)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [BINARIES / "cuobjdump", "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {key: int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("STACK", "REG")}


def main() -> None:
    """Print a JSON table: case against what it takes on the architecture given."""
    print(json.dumps({name: resources(name, int(sys.argv[1])) for name in CASES}))


if __name__ == "__main__":
    main()

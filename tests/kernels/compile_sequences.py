"""Compile the kernels on sequences without a GPU and print what they use.

A script of its own: Triton compiles only in a process that does not interpret. Its argument is the
compute capability, such as 90.
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

from pcmamba.kernels import (
    _scan_pack_triton,
    _scan_segments_triton,
    add_rms_norm_triton,
    causal_conv1d_triton,
    selective_scan_bwd_triton,
    selective_scan_triton,
)
from pcmamba.kernels import local_bidirectional_scan_triton as local

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
WIDE_POINTERS = """
A_ptr A2_ptr D_ptr bias_ptr weight_ptr back_bias_ptr back_weight_ptr last_ptr states_ptr dA_ptr
dB_ptr dC_ptr dD_ptr dbias_ptr dinitial_ptr stream_ptr grad_stream_ptr residual_ptr dresidual_ptr
scale_ptr parts_ptr back_parts_ptr BC_ptr dBC_ptr sums_ptr grads_ptr
""".split()  # noqa: SIM905 # one name a line would fill the file
INDEX_POINTERS = {"offsets_ptr": "*i64", "rows_ptr": "*i32"}
SIZES = ("D", "C", "S", "width")
ABSENT = ("perm_ptr", "initial_ptr", "grad_last_ptr")


def cases() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Kernel and constants of every case, by name."""
    table: dict[str, tuple[Any, dict[str, Any]]] = {}
    for channels in (192, 384, 1024):
        blocks = add_rms_norm_triton.block_sizes(channels)
        table[f"norm fwd C={channels}"] = add_rms_norm_triton._norm_fwd_kernel, blocks
        table[f"norm bwd C={channels}"] = add_rms_norm_triton._norm_bwd_kernel, blocks
    conv = {"TAPS": 4, "SILU": True, "HALVINGS": 6}
    conv |= {"BLOCK_T": causal_conv1d_triton.BLOCK_T, "BLOCK_D": causal_conv1d_triton.BLOCK_D}
    for name in ("_conv_fwd_kernel", "_sum_bwd_kernel", "_conv_bwd_kernel"):
        kernel = getattr(causal_conv1d_triton, name)
        table[f"pair {name}"] = kernel, conv
        table[f"ahead {name}"] = kernel, conv | {n: None for n in kernel.arg_names if "back" in n}
    scan = {"SOFTPLUS": True, "REVERSE": True}
    for segment, states in ((16, 16), (32, 16), (16, 64)):
        for kernel, limit in (
            (local._local_fwd_kernel, local.FORWARD),
            (local._local_bwd_kernel, local.BACKWARD),
        ):
            blocks = local.block_sizes(384, states, segment, limit)
            name = f"{kernel.__name__} M={segment} S={states}"
            table[name] = kernel, blocks | scan | {"SEGMENT": segment}
    return table | scan_cases()


def scan_cases() -> dict[str, tuple[Any, dict[str, Any]]]:
    """The kernels of the selective scan."""
    forward = selective_scan_triton._scan_fwd_kernel
    chosen = {
        "fwd": (forward, {"SUMMARY": False}),
        "summary fwd": (forward, {"SUMMARY": True}),
        "summary bwd": (_scan_segments_triton.summary_bwd_kernel, {}),
        "bwd": (selective_scan_bwd_triton._scan_bwd_kernel, {}),
        "carry fwd": (_scan_segments_triton.carry_fwd_kernel, {}),
        "carry bwd": (_scan_segments_triton.carry_bwd_kernel, {}),
        "pack": (_scan_pack_triton._pack_kernel, {"REVERSE": True}),
        "add": (selective_scan_bwd_triton._add_blocks_kernel, {}),
    }
    options = {"SOFTPLUS": True, "WIDE": False, "num_warps": 1}
    return {f"scan {name}": (kernel, options | more) for name, (kernel, more) in chosen.items()}


def kind(name: str, dtype: str, constants: dict[str, Any]) -> str:
    """Type of a kernel's argument."""
    if name in constants:
        return "constexpr"
    if name in INDEX_POINTERS:
        return INDEX_POINTERS[name]
    if name.endswith("_ptr"):
        return "*fp32" if name in WIDE_POINTERS else f"*{dtype}"
    return "fp32" if name == "eps" else "i32"


def resources(
    kernel: Any, constants: dict[str, Any], dtype: str, capability: int
) -> dict[str, int]:
    """Bytes of stack, registers and instructions of the compiled kernel."""
    constants = dict(constants)
    warps = constants.pop("num_warps", 4)
    names = kernel.arg_names
    constants |= {name: None for name in ABSENT if name in names}
    whole = [n.endswith("_ptr") or n in SIZES or "stride" in n for n in names]
    source = ASTSource(
        kernel,
        signature={n: kind(n, dtype, constants) for n in names},
        constexprs={n: v for n, v in constants.items() if n in names},
        attrs={
            (i,): [["tt.divisibility", 16]]
            for i, (n, yes) in enumerate(zip(names, whole, strict=True))
            if yes and n not in constants
        },
    )
    compiled = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps}
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _run("cuobjdump", "-res-usage", file.name)
        code = _run("nvdisasm", "-c", file.name)
    used = {key: int(re.search(rf"{key}:(\d+)", usage)[1]) for key in ("STACK", "LOCAL", "REG")}
    shared = compiled.metadata.shared
    found = {name: len(re.findall(rf"\b{name}\b", code)) for name in ("MUFU.EX2", "SHFL", "BAR")}
    return {**used, "SHARED": shared, "LINES": len(re.findall(r"/\*[0-9a-f]{4}\*/", code)), **found}


def _run(tool: str, *arguments: str) -> str:
    command = [BINARIES / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print a JSON table: case against what the launcher's kernel takes."""
    capability = int(sys.argv[1])
    chosen = {k: v for k, v in cases().items() if not sys.argv[2:] or sys.argv[2] in k}
    table = {
        f"{name} {dtype}": resources(*case, dtype, capability)
        for name, case in chosen.items()
        for dtype in ("bf16", "fp32")
    }
    print(json.dumps(table))


if __name__ == "__main__":
    main()

"""Compile the kernels of batch normalisation without a GPU and print what they use.

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

from pcmamba.kernels import _norm_triton, batch_norm_max_triton, batch_norm_relu_triton

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
ROWS = ("x_ptr", "y_ptr", "grad_ptr", "shortcut_ptr", "out_ptr", "dx_ptr", "dshortcut_ptr")
FLAGS = {"RELU": True, "OWN": True}


def kind(name: str, dtype: str) -> str:
    """Type of a kernel's argument."""
    if name.isupper() and (name.startswith("BLOCK") or name in FLAGS):
        return "constexpr"
    if not name.endswith("_ptr"):
        return "fp32" if name == "eps" else "i32"
    return "*u8" if name == "winner_ptr" else f"*{dtype}" if name in ROWS else "*fp32"


def blocks(kernel) -> dict[str, int]:
    """Block sizes as the launchers set them."""
    merging = "BLOCK_P" in kernel.arg_names
    passing = "chunk" not in kernel.arg_names
    return {
        "BLOCK_P": _norm_triton.BLOCK_P,
        "BLOCK_M": batch_norm_max_triton.BLOCK_M,
        "BLOCK_R": batch_norm_relu_triton.BLOCK_M if passing else _norm_triton.BLOCK_R,
        "BLOCK_C": _norm_triton.MERGED_C if merging else 64,
    }


def resources(kernel, dtype: str, capability: int, channels: int) -> dict[str, int]:
    """Bytes of stack and registers a thread of the compiled kernel takes."""
    names = kernel.arg_names
    constants = {**blocks(kernel), **FLAGS}
    aligned = [n.endswith("_ptr") or (n == "C" and channels % 16 == 0) for n in names]
    source = ASTSource(
        kernel,
        signature={n: kind(n, dtype) for n in names},
        constexprs={n: constants[n] for n in names if n in constants},
        attrs={(i,): [["tt.divisibility", 16]] for i, yes in enumerate(aligned) if yes},
    )
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": 4})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [BINARIES / "cuobjdump", "-res-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {key: int(re.search(rf"{key}:(\d+)", text)[1]) for key in ("STACK", "LOCAL", "REG")}


def main() -> None:
    """Print a JSON table: kernel, dtype, capability and channels against what a thread takes."""
    modules = (_norm_triton, batch_norm_relu_triton, batch_norm_max_triton)
    kernels = {
        f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
        for module in modules
        for name in vars(module)
        if name.endswith("_kernel")
    }
    cases = [("fp32", 90, 192), ("bf16", 90, 195), ("bf16", 80, 192)]
    table = {
        f"{name} {dtype} sm_{capability} C={channels}": resources(
            kernel, dtype, capability, channels
        )
        for dtype, capability, channels in cases
        for name, kernel in kernels.items()
    }
    print(json.dumps(table))


if __name__ == "__main__":
    main()

"""Compile the kernels of `group` and the pools for sm_90 without a GPU and print what they use.

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

from pcmamba.kernels import (
    group_max_triton,
    group_softmax_triton,
    group_std_triton,
    group_triton,
)

BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
INDEX_POINTERS = ("idx_ptr", "start_ptr", "slot_ptr")
FLOAT_POINTERS = (
    *("mean_ptr", "scale_ptr", "moments_ptr", "log_sum_ptr"),
    *("weight_ptr", "dweight_ptr"),
)
BLOCK_K = 4  # neighbours of a token in Mamba3D
ROW_BLOCKS = {
    "BLOCK_R": group_triton.BLOCK_R,
    "BLOCK_S": group_triton.BLOCK_S,
    "BLOCK_M": group_triton.BLOCK_M,
    "BLOCK_Q": group_std_triton.BLOCK_Q,
}


POOLS = (group_max_triton, group_softmax_triton)


def kind(name: str, dtype: str) -> str:
    """Type of a kernel's argument."""
    if name.startswith("BLOCK") or name == "AHEAD":
        return "constexpr"
    if not name.endswith("_ptr"):
        return "i32"
    if name == "winner_ptr":
        return "*u8"
    return "*i64" if name in INDEX_POINTERS else "*fp32" if name in FLOAT_POINTERS else f"*{dtype}"


def resources(kernel, dtype: str, channels: int, pool: bool) -> dict[str, int]:
    """Bytes of stack and registers a thread of the compiled kernel takes."""
    names = kernel.arg_names
    module = group_max_triton if pool else group_triton
    blocks = {**ROW_BLOCKS, "BLOCK_C": module.channel_block(channels)}
    if pool:
        softmax = kernel.fn.__module__ == group_softmax_triton.__name__
        own = group_softmax_triton if softmax else group_max_triton
        blocks.update(BLOCK_K=BLOCK_K, BLOCK_M=own.BLOCK_M, BLOCK_S=own.BLOCK_S, AHEAD=own.AHEAD)
    aligned = [n.endswith("_ptr") or (n == "C" and channels % 16 == 0) for n in names]
    source = ASTSource(
        kernel,
        signature={n: kind(n, dtype) for n in names},
        constexprs={n: blocks[n] for n in names if n in blocks},
        attrs={(i,): [["tt.divisibility", 16]] for i, yes in enumerate(aligned) if yes},
    )
    warps = 1 if pool or "BLOCK_S" in names else 4
    compiled = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [BINARIES / "cuobjdump", "-res-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {key: int(re.search(rf"{key}:(\d+)", text)[1]) for key in ("STACK", "LOCAL", "REG")}


def main() -> None:
    """Print a JSON table: kernel, dtype and channels against what a thread takes."""
    kernels = {
        f"{module.__name__.rpartition('.')[2]}.{name}": (getattr(module, name), module in POOLS)
        for module in (group_triton, group_std_triton, *POOLS)
        for name in vars(module)
        if name.endswith("_kernel")
    }
    cases = [("fp32", 192), ("fp32", 195), ("bf16", 195)]
    table = {
        f"{name} {dtype} C={channels}": resources(kernel, dtype, channels, pool)
        for dtype, channels in cases
        for name, (kernel, pool) in kernels.items()
    }
    print(json.dumps(table))


if __name__ == "__main__":
    main()

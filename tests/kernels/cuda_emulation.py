"""Compile a CUDA source of the kernels' folder with g++ and run it on CPU tensors.

`cuda_emulation.h` says how. A kernel is called as `_nvrtc.Kernel` is: grid, threads, parameters.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from pcmamba.kernels import _nvrtc

HERE = Path(__file__).parent
HEADERS = (HERE / "cuda_emulation.h", HERE / "cuda_emulation_types.h")
KINDS = {"P": "void*", "i": "int", "q": "long long", "f": "float"}
DYNAMIC = re.compile(r"extern\s+__shared__\s+((?:__align__\(\d+\)\s*)?)([\w\s]+?)\s+(\w+)\[\];")


def has_compiler() -> bool:
    """Tell whether the emulation can run here."""
    return shutil.which("g++") is not None


class EmulatedKernel:
    """A kernel of `kernels/<source>.cu` on the CPU, with the call of `_nvrtc.Kernel`.

    Args:
        source: Name of the `.cu` file.
        entry: Name of the `extern "C"` function.
        signature: One letter for each parameter: P, i, q, f.
        macros: Names and values of the variant.
        backwards: Whether the last thread of a block runs first; results must not change.
    """

    def __init__(
        self,
        source: str,
        entry: str,
        signature: str,
        macros: tuple[tuple[str, str | int], ...] = (),
        backwards: bool = False,
    ) -> None:
        self.signature, self.backwards = signature, backwards
        self.function = ctypes.CDLL(str(_build(source, entry, signature, macros))).run
        self.function.restype = ctypes.c_char_p

    def __call__(
        self, grid: tuple[int, int, int], threads: int, *values: Any, shared: int = 0
    ) -> None:
        """Run the grid to its end.

        Raises:
            RuntimeError: The threads of a block wait for ever, or a warp's lanes disagree.
        """
        assert shared <= 227 * 1024, f"a block has at most 227 KiB of shared memory, not {shared}"
        assert len(values) == len(self.signature)
        packed = [_convert(kind, v) for kind, v in zip(self.signature, values, strict=True)]
        why = self.function(*(ctypes.c_int(n) for n in (*grid, threads, self.backwards)), *packed)
        if why:
            raise RuntimeError(why.decode())


def _convert(kind: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        assert value.device.type == "cpu" and value.is_contiguous()
        return ctypes.c_void_p(value.data_ptr())
    types = {"P": ctypes.c_void_p, "i": ctypes.c_int, "q": ctypes.c_longlong, "f": ctypes.c_float}
    return types[kind](value)


def load(
    source: str,
    entry: str,
    signature: str,
    macros: tuple[tuple[str, str | int], ...],
    device: int | None = None,
) -> EmulatedKernel:
    """Stand in for `_nvrtc.load`; `device` has no meaning here."""
    return EmulatedKernel(source, entry, signature, macros)


def _build(
    source: str, entry: str, signature: str, macros: tuple[tuple[str, str | int], ...]
) -> Path:
    device = (_nvrtc.FOLDER / "_device.cuh").read_text()
    kernel = _nvrtc.read_source(source).removeprefix(device)
    shared = r"static \2* const \3 = reinterpret_cast<\2*>(emulation::dynamic_shared);"
    before, behind = (path.read_text() for path in HEADERS)
    defines = "".join(f"#define {key} {value}\n" for key, value in macros)
    parts = (before, defines, device, behind, DYNAMIC.sub(shared, kernel))
    structure = re.search(r"__grid_constant__ (\w+) ", kernel)
    name = structure[1] if structure else None
    return _compile("".join(parts) + _entry_point(entry, signature, name))


def _entry_point(entry: str, signature: str, structure: str | None) -> str:
    """A C function that takes the grid and the parameters and runs `entry` in every thread.

    Where the kernel takes one structure, the parameters are its fields.
    """
    # The kernel's own pointer types are not known here, so a conversion finds them.
    names = [f"a{i}" for i in range(len(signature))]
    declared = "".join(f", {KINDS[k]} {n}" for k, n in zip(signature, names, strict=True))
    fields = "".join(f"{KINDS[k]} {n}; " for k, n in zip(signature, names, strict=True))
    passed = ", ".join(
        f"AnyPointer{{v.{n}}}" if k == "P" else f"v.{n}"
        for k, n in zip(signature, names, strict=True)
    )
    if structure:
        passed = f"*reinterpret_cast<{structure}*>(&v)"
    return f"""
struct AnyPointer {{ void* p; template <class T> operator T*() const {{ return (T*)p; }} }};
struct Values {{ {fields} }};
static void call(void* p) {{ Values& v = *static_cast<Values*>(p); {entry}({passed}); }}
extern "C" const char* run(int x, int y, int z, int threads, int backwards{declared}) {{
    Values values{{{", ".join(names)}}};
    return emulation::launch(call, &values, {{unsigned(x), unsigned(y), unsigned(z)}},
                             {{unsigned(threads), 1, 1}}, backwards);
}}
"""


@functools.cache
def _compile(text: str) -> Path:
    folder = _folder()
    stem = hashlib.sha256(text.encode()).hexdigest()[:16]
    code, library = folder / f"{stem}.cpp", folder / f"{stem}.so"
    code.write_text(text)
    command = ["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-w"]
    command += ["-shared", "-fPIC", str(code), "-o", str(library)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[:4000]
    return library


@functools.cache
def _folder() -> Path:
    keeper = tempfile.TemporaryDirectory(prefix="emulated")
    _kept.append(keeper)
    return Path(keeper.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []

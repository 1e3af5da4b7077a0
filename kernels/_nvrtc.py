"""CUDA C++ kernels compiled when they are first used, by the NVRTC library that CUDA torch brings.

A source is a `.cu` file of this folder; `_device.cuh` is put in front of it, and the text of other
`.cuh` files of the folder in place of their includes. Sizes and types come in as macros (of two
letters or more: NVRTC's own headers use single ones), so that each variant is a compilation of its
own, kept on disk under the hash of everything that went in.
Nothing here needs nvcc, CUDA headers or a C++ compiler. `compile_source` needs no GPU either.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
DYNAMIC_SHARED_LIMIT = 48 * 1024  # more has to be asked for
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_END, _BUFFER, _SIZE = 0, 1, 2  # CU_LAUNCH_PARAM_*


@functools.cache
def find_library() -> ctypes.CDLL | None:
    """Return NVRTC, or None where it is not installed."""
    for name in _candidates():
        try:
            # NVRTC looks for this companion by name alone, so it has to be in memory already.
            for companion in sorted(Path(name).parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(companion), mode=ctypes.RTLD_GLOBAL)
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return library
    return None


def _candidates() -> list[str]:
    major = (torch.version.cuda or "13").split(".")[0]
    folders = [Path(entry) / "nvidia" for entry in sys.path if entry]
    found = [str(p) for folder in folders for p in folder.glob(f"*/lib/libnvrtc.so.{major}*")]
    return [f"libnvrtc.so.{major}", *sorted(found), "libnvrtc.so"]


def has_nvrtc() -> bool:
    """Tell whether kernels can be compiled for and run on a CUDA device of this machine."""
    return torch.version.cuda is not None and find_library() is not None


@functools.cache
def read_source(name: str) -> str:
    """Return the text of `kernels/<name>.cu` with its includes, behind the device helpers."""
    return (FOLDER / "_device.cuh").read_text() + _with_includes(f"{name}.cu")


def _with_includes(file: str) -> str:
    text = (FOLDER / file).read_text()
    return re.sub(r'^#include "(\w+\.cuh)"$', lambda m: _with_includes(m[1]), text, flags=re.M)


def compile_source(name: str, macros: tuple[tuple[str, str | int], ...], arch: int) -> bytes:
    """Compile `kernels/<name>.cu` to machine code, or take it from the disk.

    Args:
        name: The file's name without `.cu`.
        macros: Names and values of the variant.
        arch: Compute capability, 90 for 9.0.

    Raises:
        ImportError: NVRTC is not installed.
        RuntimeError: The source does not compile; the text holds NVRTC's log.
    """
    library = find_library()
    if library is None:
        raise ImportError("NVRTC must be installed for impl='nvrtc'; a CUDA build of torch has it")
    options = [f"--gpu-architecture=sm_{arch}", "--std=c++17", "--fmad=true"]
    options += [f"-D{key}={value}" for key, value in macros]
    source = read_source(name)
    key = hashlib.sha256("\0".join([source, *options, _version(library)]).encode()).hexdigest()
    path = _cache_folder() / f"{name}-{key[:32]}.cubin"
    if path.is_file():
        return path.read_bytes()
    code = _compile(library, name, source, options)
    _keep(path, code)
    return code


def _version(library: ctypes.CDLL) -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PCMAMBA_CACHE") or Path(base) / "pcmamba") / "nvrtc"


def _keep(path: Path, code: bytes) -> None:
    """Write the compiled kernel under a temporary name, then rename; a full disk is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(code)
        Path(file.name).replace(path)
    except OSError:
        return


def _compile(library: ctypes.CDLL, name: str, source: str, options: list[str]) -> bytes:
    program = ctypes.c_void_p()
    made = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), f"{name}.cu".encode(), 0, None, None
    )
    _check(library, made)
    try:
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if library.nvrtcCompileProgram(program, len(options), flags):
            log = _read(library, program, "ProgramLog").rstrip(b"\0").decode()
            raise RuntimeError(f"kernels/{name}.cu does not compile with {options}:\n{log}")
        return _read(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _read(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(library, getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(library, getattr(library, f"nvrtcGet{what}")(program, text))
    return text.raw


def _check(library: ctypes.CDLL, code: int) -> None:
    if code:
        raise RuntimeError(f"NVRTC failed: {library.nvrtcGetErrorString(code).decode()}")


class Kernel:
    """One variant of a kernel, loaded on a device; call it to launch it on the current stream.

    Args:
        source: Name of the `.cu` file.
        entry: Name of the `extern "C"` function.
        signature: One letter for each parameter as in `struct`: P pointer (a tensor or None), i
            int, q long long, f float.
        macros: Names and values of the variant.
        device: Index of the CUDA device.
    """

    def __init__(
        self,
        source: str,
        entry: str,
        signature: str,
        macros: tuple[tuple[str, str | int], ...],
        device: int,
    ) -> None:
        self.device = device
        self.layout = struct.Struct("@" + signature.replace("P", "Q"))
        self.driver = ctypes.CDLL("libcuda.so.1")
        major, minor = torch.cuda.get_device_capability(device)
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # makes the device's context current
            self.module = ctypes.c_void_p()
            image = compile_source(source, macros, 10 * major + minor)
            self._check(self.driver.cuModuleLoadData(ctypes.byref(self.module), image))
            self.function = ctypes.c_void_p()
            found = self.driver.cuModuleGetFunction(
                ctypes.byref(self.function), self.module, entry.encode()
            )
            self._check(found)
        self.shared = DYNAMIC_SHARED_LIMIT
        self.size = ctypes.c_size_t(self.layout.size)

    def __call__(
        self, grid: tuple[int, int, int], threads: int, *values: Any, shared: int = 0
    ) -> None:
        """Launch on the current stream of the device.

        Args:
            grid: Blocks along x, y, z; nothing is launched if one is 0.
            threads: Threads of a block.
            values: The parameters, tensors and numbers.
            shared: Bytes of dynamic shared memory.
        """
        if 0 in grid:
            return
        if shared > self.shared:
            attribute = _MAX_DYNAMIC_SHARED
            self._check(self.driver.cuFuncSetAttribute(self.function, attribute, shared))
            self.shared = shared
        pointers = [
            value.data_ptr() if isinstance(value, Tensor) else 0 if value is None else value
            for value in values
        ]
        # Buffers of this call alone: a backward pass launches from another thread.
        buffer = ctypes.create_string_buffer(self.layout.pack(*pointers), self.layout.size)
        packed = (ctypes.c_void_p * 5)(
            _BUFFER, ctypes.addressof(buffer), _SIZE, ctypes.addressof(self.size), _END
        )
        stream = ctypes.c_void_p(torch._C._cuda_getCurrentRawStream(self.device))
        launched = self.driver.cuLaunchKernel(
            self.function, *grid, threads, 1, 1, shared, stream, None, packed
        )
        self._check(launched)

    def _check(self, code: int) -> None:
        if code:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorString(code, ctypes.byref(text))
            raise RuntimeError(f"CUDA failed: {(text.value or b'unknown error').decode()}")


@functools.cache
def load(
    source: str,
    entry: str,
    signature: str,
    macros: tuple[tuple[str, str | int], ...],
    device: int,
) -> Kernel:
    """Return the kernel of a variant, compiled and loaded once for each device; see `Kernel`."""
    return Kernel(source, entry, signature, macros, device)

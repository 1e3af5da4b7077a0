"""No kernel without both: an interpreted run against the reference, and a compilation for a GPU.

How a kernel declares its tests: nothing to write down beside them.

- The op named like the kernel's file (`kernels/<op>_triton.py`) runs it with `impl="triton"` on CPU
  tensors in `tests/ops/test_<op>.py`, and with it the files that it imports; or a test of
  `tests/kernels` or `tests/ops` names the file or the kernel.
- A script `tests/kernels/compile_*.py` compiles it: it names the kernel, or goes through all
  `_kernel`s of the file. The same holds for the `__global__` functions of the `.cu` files, which
  any test in `tests/kernels` may compile.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels"
COMPILED = sorted(Path(__file__).parent.glob("compile_*.py"))
TESTS = [*sorted(Path(__file__).parent.glob("*.py")), *sorted((ROOT / "tests/ops").glob("*.py"))]


def triton_kernels(folder: Path) -> list[tuple[str, str]]:
    """(file without ending, function) of each `@triton.jit` function named `*_kernel`."""
    found = []
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not node.name.endswith("_kernel"):
                continue
            if any("triton.jit" in ast.unparse(mark) for mark in node.decorator_list):
                found.append((path.stem, node.name))
    return found


def cuda_kernels(folder: Path) -> list[tuple[str, str]]:
    """(file without ending, function) of each `__global__` function."""
    pattern = re.compile(r"__global__\s+(?:__launch_bounds__\(.*?\)\s+)?void\s+(\w+)", re.DOTALL)
    return [
        (p.stem, n) for p in sorted(folder.glob("*.cu")) for n in pattern.findall(p.read_text())
    ]


def compiles(file: str, kernel: str, text: str) -> bool:
    """Whether a script compiles the kernel: by its name, or as one of all those of its file."""
    named = re.search(rf"\b{kernel}\b", text) is not None
    swept = re.search(rf"\b{file}\b", text) is not None and '"_kernel"' in text
    return named or swept


def interprets(file: str, kernel: str, tests: list[Path]) -> bool:
    """Whether a test runs the kernel in the interpreter, or one of a file that imports its file."""
    importers = [
        path.stem
        for path in KERNELS.glob("*_triton.py")
        if path.stem != file and re.search(rf"\b{file}\b", path.read_text())
    ]
    named = any(names_or_runs(file, kernel, path) for path in tests)
    return named or any(names_or_runs(other, "", path) for other in importers for path in tests)


def names_or_runs(file: str, kernel: str, path: Path) -> bool:
    """Whether a test file names the kernel or its file, or runs the op of the file's name."""
    op, text = file.removesuffix("_triton").lstrip("_"), path.read_text()
    if path.name in (f"test_{op}.py", f"test_{file}.py") and '"triton"' in text:
        return True
    wanted = "|".join(filter(None, (file, kernel)))
    return path.name.startswith("test_") and re.search(rf"\b({wanted})\b", text) is not None


@pytest.mark.parametrize("file, kernel", triton_kernels(KERNELS))
def test_triton_kernel(file: str, kernel: str) -> None:
    assert interprets(file, kernel, TESTS), (
        f"kernels/{file}.py: {kernel} must run in the interpreter: test impl='triton' in "
        f"tests/ops/test_{file.removesuffix('_triton')}.py"
    )
    assert any(compiles(file, kernel, path.read_text()) for path in COMPILED), (
        f"kernels/{file}.py: {kernel} must be compiled for sm_90 by a tests/kernels/compile_*.py"
    )


@pytest.mark.parametrize("file, kernel", cuda_kernels(KERNELS))
def test_cuda_kernel(file: str, kernel: str) -> None:
    texts = [path.read_text() for path in Path(__file__).parent.glob("*.py")]
    assert any(re.search(rf"\b({file}|{kernel})\b", text) for text in texts), (
        f"kernels/{file}.cu: {kernel} must be compiled by a test in tests/kernels"
    )


def test_the_walk_finds_kernels_and_misses_tests(tmp_path: Path) -> None:
    (tmp_path / "new_triton.py").write_text(
        "@triton.jit\ndef _new_kernel(x):\n    pass\n\n\n@triton.jit\ndef _helper(x):\n    pass\n"
    )
    (tmp_path / "new.cu").write_text(
        'extern "C" __global__ __launch_bounds__(256, 2) void new_one(float* x) {}\n'
        'extern "C" __global__ void new_two(float* x) {}\n'
    )
    assert triton_kernels(tmp_path) == [("new_triton", "_new_kernel")]
    assert cuda_kernels(tmp_path) == [("new", "new_one"), ("new", "new_two")]
    assert not compiles("new_triton", "_new_kernel", "old_triton._old_kernel")
    assert compiles("new_triton", "_new_kernel", "new_triton._new_kernel")
    assert not interprets("new_triton", "_new_kernel", [])
    (tmp_path / "test_new.py").write_text('KERNELS = ["cpu", "triton"]')
    assert interprets("new_triton", "_new_kernel", [tmp_path / "test_new.py"])
    assert len(triton_kernels(KERNELS)) >= 14

"""Run-time compilation of CUDA kernels: no GPU is needed to compile, errors carry the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcmamba.kernels import _nvrtc

ADD_ONE = 'extern "C" __global__ void add_one(ELEMENT* x) { store(x, 0, load(x, 0) + 1.f); }\n'

pytestmark = pytest.mark.skipif(_nvrtc.find_library() is None, reason="needs NVRTC")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kernels of the test's own, and a cache of its own."""
    (tmp_path / "_device.cuh").write_text((_nvrtc.FOLDER / "_device.cuh").read_text())
    (tmp_path / "add_one.cu").write_text(ADD_ONE)
    monkeypatch.setattr(_nvrtc, "FOLDER", tmp_path)
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path / "cache"))
    _nvrtc.read_source.cache_clear()
    yield tmp_path
    _nvrtc.read_source.cache_clear()


@pytest.mark.parametrize("element", ["float", "bfloat16", "float16"])
def test_compiles_without_a_gpu_and_keeps_the_result(folder: Path, element: str) -> None:
    code = _nvrtc.compile_source("add_one", (("ELEMENT", element),), 90)
    assert code.startswith(b"\x7fELF")
    (kept,) = (folder / "cache" / "nvrtc").iterdir()
    assert kept.read_bytes() == code
    kept.write_bytes(b"from the disk")
    assert _nvrtc.compile_source("add_one", (("ELEMENT", element),), 90) == b"from the disk"


def test_a_variant_or_another_chip_is_another_entry(folder: Path) -> None:
    for element, arch in (("float", 90), ("float", 80), ("bfloat16", 90)):
        _nvrtc.compile_source("add_one", (("ELEMENT", element),), arch)
    assert len(list((folder / "cache" / "nvrtc").iterdir())) == 3


def test_a_source_that_does_not_compile_says_why(folder: Path) -> None:
    (folder / "add_one.cu").write_text("extern void nothing(;")
    with pytest.raises(RuntimeError, match=r"kernels/add_one.cu does not compile .*\n.*error"):
        _nvrtc.compile_source("add_one", (), 90)
    assert not (folder / "cache").exists()

"""Stand-in for loaded CUDA kernels: notes what launchers ask for, so that it can be compiled here."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcmamba.kernels import _nvrtc

Variant = tuple[str, tuple[tuple[str, str | int], ...]]


@dataclass
class Recorder:
    """Replaces `_nvrtc.load`; a launch only checks that the parameters fit the signature."""

    variants: set[Variant] = field(default_factory=set)

    def load(
        self, source: str, entry: str, signature: str, macros: tuple[Any, ...], device: Any
    ) -> Any:
        """Note a variant and return its launch."""
        self.variants.add((source, macros))
        assert f"{entry}(" in _nvrtc.read_source(source)

        def launch(grid: tuple[int, int, int], threads: int, *values: Any, shared: int = 0) -> None:
            assert len(values) == len(signature), (source, len(values), len(signature))
            for value, letter in zip(values, signature, strict=True):
                number = isinstance(value, int)
                assert number == (letter != "P"), (source, letter, type(value))

        return launch


def cuobjdump() -> Path | None:
    """Return the tool that Triton brings, or None."""
    try:
        import triton
    except ImportError:
        return None
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return path if path.is_file() else None


def resources(variant: Variant, arch: int) -> dict[str, int]:
    """Compile a variant; return its registers, bytes of stack and of shared memory."""
    code = _nvrtc.compile_source(*variant, arch)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        command = [cuobjdump(), "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    keys = ("REG", "STACK", "SHARED", "LOCAL")
    return {key: int(re.search(rf"{key}:(\d+)", usage)[1]) for key in keys}

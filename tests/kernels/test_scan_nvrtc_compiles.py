"""The CUDA kernels of scans compile for GPUs that need not be there, in the registers they get."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pcmamba.kernels import (
    _nvrtc,
    _scan_branch_nvrtc,
    bidirectional_nvrtc,
    selective_scan_nvrtc,
    sum_parts_nvrtc,
)

Variant = tuple[str, tuple[tuple[str, str | int], ...]]


@dataclass
class Recorder:
    """Stands in for loaded kernels, and notes what launchers ask for, so that it can be compiled.

    Replaces `_nvrtc.load`; a launch only checks that the parameters fit the signature.
    """

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


pytestmark = [
    pytest.mark.skipif(_nvrtc.find_library() is None, reason="needs NVRTC"),
    pytest.mark.skipif(cuobjdump() is None, reason="needs Triton's cuobjdump"),
]

FLOAT, BRAIN, HALF = torch.float32, torch.bfloat16, torch.float16
# Bytes a thread may put aside in the backward pass: what outlives a tile, read again once in it.
ASIDE = 384
SYSTEM = 1024  # bytes of shared memory that the tool counts for the system's use


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    """Launchers of this test ask the recorder; compiled kernels go to a folder of its own."""
    recorder = Recorder()
    monkeypatch.setattr(_nvrtc, "load", recorder.load)
    monkeypatch.setenv("PCMAMBA_CACHE", str(tmp_path))
    return recorder


def make_scan(
    size: int, dtype: torch.dtype, delta: torch.dtype, weights: torch.dtype, rows: int = 40
) -> dict[str, Any]:
    """Arguments of a scan of 32 channels."""
    return {
        "u": torch.zeros(rows, 32, dtype=dtype),
        "delta": torch.zeros(rows, 32, dtype=delta),
        "A": torch.zeros(32, size),
        "B": torch.zeros(rows, size, dtype=weights),
        "C": torch.zeros(rows, size, dtype=weights),
        "D": torch.zeros(32),
        "z": torch.zeros(rows, 32, dtype=dtype),
        "delta_bias": torch.zeros(32),
        "initial_state": None,
        "perm": None,
        "offsets": torch.tensor([0, rows]),
    }


def both_passes(arguments: dict[str, Any], softplus: bool = True) -> None:
    """Run the launchers of one scan, forward and backward."""
    y, last, states = selective_scan_nvrtc.selective_scan_fwd(
        **arguments, delta_softplus=softplus, reverse=False
    )
    selective_scan_nvrtc.selective_scan_bwd(
        y, last, *arguments.values(), states, delta_softplus=softplus, reverse=False
    )


def check(recorder: Recorder, count: int, arch: int) -> None:
    """Compile what was asked for: no more registers than given, little put aside."""
    assert len(recorder.variants) == count
    for variant in recorder.variants:
        used = resources(variant, arch)
        backward = variant[0] == "selective_scan_bwd"
        assert used["LOCAL"] == 0, (variant, used)
        assert used["STACK"] <= (ASIDE if backward else 0), (variant, used)
        assert used["SHARED"] <= _nvrtc.DYNAMIC_SHARED_LIMIT + SYSTEM, (variant, used)


@pytest.mark.parametrize(
    ("size", "dtype", "delta", "weights", "arch"),
    [
        pytest.param(16, BRAIN, BRAIN, BRAIN, 90, id="bfloat16"),
        pytest.param(16, BRAIN, BRAIN, BRAIN, 80, id="bfloat16, 8.0"),
        pytest.param(16, FLOAT, FLOAT, FLOAT, 90, id="float32"),
        pytest.param(3, HALF, FLOAT, HALF, 90, id="3 states, float16, float32 steps"),
        pytest.param(8, BRAIN, BRAIN, FLOAT, 90, id="8 states, float32 B and C"),
        pytest.param(64, FLOAT, FLOAT, FLOAT, 90, id="64 states"),
    ],
)
def test_scan_compiles(
    recorder: Recorder,
    size: int,
    dtype: torch.dtype,
    delta: torch.dtype,
    weights: torch.dtype,
    arch: int,
) -> None:
    both_passes(make_scan(size, dtype, delta, weights))
    check(recorder, 4, arch)


def test_scan_without_options_compiles(recorder: Recorder) -> None:
    arguments = make_scan(16, BRAIN, BRAIN, BRAIN)
    arguments |= {"D": None, "z": None, "delta_bias": None, "perm": torch.arange(40)}
    both_passes(arguments, softplus=False)
    check(recorder, 4, 90)


def test_odd_rows_are_read_one_element_at_a_time(recorder: Recorder) -> None:
    arguments = make_scan(16, BRAIN, BRAIN, BRAIN)
    arguments["u"] = torch.zeros(40, 33, dtype=BRAIN)[:, 1:]
    arguments["B"] = torch.zeros(40, 17, dtype=BRAIN)[:, 1:]
    both_passes(arguments)
    widths = {
        (dict(macros)["VECTOR"], dict(macros)["WEIGHT_VECTOR"])
        for source, macros in recorder.variants
        if source in ("selective_scan_fwd", "selective_scan_bwd")
    }
    assert widths == {(1, 1)}
    check(recorder, 4, 90)


def test_long_sequences_are_cut(recorder: Recorder) -> None:
    both_passes(make_scan(16, BRAIN, BRAIN, BRAIN, rows=1000))
    passes = [dict(macros)["PASS"] for s, macros in recorder.variants if s == "selective_scan_fwd"]
    assert sorted(passes) == [0, 1, 2]
    check(recorder, 7, 90)


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [
        pytest.param((32768, 32, 384, 1), 0, id="many sequences"),
        pytest.param((200, 1, 384, 1), 0, id="short"),
        pytest.param((65536, 1, 512, 2), 2736, id="one long sequence"),
        pytest.param((1 << 20, 1, 512, 2), 43696, id="a million steps"),
        pytest.param((0, 0, 512, 2), 0, id="nothing"),
    ],
)
def test_cuts_follow_from_sizes(sizes: tuple[int, int, int, int], steps: int) -> None:
    assert _scan_branch_nvrtc.part_length(*sizes, 1) == steps


@pytest.mark.parametrize(
    ("dtype", "crossed", "arch"),
    [(BRAIN, False, 90), (FLOAT, False, 90), (BRAIN, True, 80)],
    ids=["bfloat16", "float32", "crossed"],
)
def test_core_compiles(recorder: Recorder, dtype: torch.dtype, crossed: bool, arch: int) -> None:
    def rows(width: int = 32) -> Tensor:
        return torch.zeros(40, width, dtype=dtype)

    offsets, x, z = torch.tensor([0, 40]), rows(), rows()
    taps = [
        bidirectional_nvrtc.make_taps(torch.zeros(32, 4), torch.zeros(32), reverse)
        for reverse in (False, not crossed)
    ]
    groups = [[taps[0]], [taps[1]]] if crossed else [taps]
    for group in groups:
        u = bidirectional_nvrtc.conv_fwd(x, group, None, offsets)
        bidirectional_nvrtc.conv_bwd(u, x, group, None, offsets)
    branches = [
        bidirectional_nvrtc.make_branch(
            *(rows(), rows(), torch.zeros(32, 16), rows(16), rows(16)),
            *(torch.zeros(32), gate, torch.zeros(32), None, tap.reverse),
        )._replace(logarithm=True)
        for gate, tap in zip((z, x if crossed else z), taps, strict=True)
    ]
    out, y, states = bidirectional_nvrtc.core_fwd(branches, None, offsets, True)
    bidirectional_nvrtc.core_bwd(out, branches, y, states, None, offsets)
    check(recorder, 7, arch)


def test_sums_have_up_to_three_outputs(recorder: Recorder) -> None:
    partial = torch.zeros(2, 5, 70)
    outputs = [[torch.zeros(64), torch.zeros(6)], [torch.zeros(64), torch.zeros(6)]]
    sum_parts_nvrtc.sum_parts(partial, outputs)
    check(recorder, 1, 90)

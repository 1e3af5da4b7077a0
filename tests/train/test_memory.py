"""Freed memory stays with the process, so that the next step finds it without page faults."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from pcmamba.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():  # ends with the top of the heap free, as a training step does
    kept = [torch.ones(4 << 20) for _ in range(8)]
    return sum(float(t[0]) for t in kept)
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str, **variables: str) -> int:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "LD_PRELOAD"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={**plain, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_repeated_steps_fault_no_more_pages() -> None:
    # Without it nearly every page faults, but for runs where a small block happens to hold the
    # heap's top: a comparison with such a run would fail by chance.
    touched = 4 * 8 * (16 << 20) // resource.getpagesize()
    assert _faults("keep") < 0.1 * touched


def test_the_users_own_choice_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcmamba.train.memory import keep_freed_memory

    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not keep_freed_memory()

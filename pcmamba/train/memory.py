"""How the C library hands out memory while a model is trained on a CPU."""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt's names for them, malloc.h
_LARGEST_THRESHOLD = 32 << 20
_MOST_KEPT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the process keep freed memory for the next step instead of giving it back.

    Each step frees and asks for the same large tensors. glibc returns much of them to the system,
    which hands them out again page by page, cleared: a fifth of a small model's step. Holds for
    the rest of the process. MALLOC_* variables or a preloaded allocator are left to rule.

    Returns:
        Whether the library took the settings; False on other systems.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "LD_PRELOAD" in os.environ
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    wanted = {
        _MMAP_THRESHOLD: _LARGEST_THRESHOLD,
        _TRIM_THRESHOLD: _MOST_KEPT,
        _TOP_PAD: 64 << 20,
    }
    return all(set_option(option, value) == 1 for option, value in wanted.items())

"""Assertions and inputs shared by tests and tools."""

from pcmamba.testing.golden import Golden, load_golden
from pcmamba.testing.shared import shared_folder

__all__ = ["Golden", "load_golden", "shared_folder"]

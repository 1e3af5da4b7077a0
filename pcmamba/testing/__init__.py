"""Assertions and inputs shared by tests and tools."""

from pcmamba.testing.shared import shared_folder

__all__ = ["shared_folder"]

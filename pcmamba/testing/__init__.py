"""Assertions and inputs shared by tests and tools."""

from pcmamba.testing.events import draw_events
from pcmamba.testing.shared import shared_folder

__all__ = ["draw_events", "shared_folder"]

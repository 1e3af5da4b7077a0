"""Assertions and inputs shared by tests and tools."""

from pcmamba.testing.events import draw_events
from pcmamba.testing.golden import Golden, load_golden
from pcmamba.testing.shared import shared_folder

__all__ = ["Golden", "draw_events", "load_golden", "shared_folder"]

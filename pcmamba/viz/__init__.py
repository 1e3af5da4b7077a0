"""Pictures, pages and windows of clouds and predictions."""

from __future__ import annotations

from pcmamba.viz.show import Figure, show

__all__ = ["Figure", "show"]

"""Weights of the released Point Cloud Mamba code, to and from this library's models."""

from __future__ import annotations

from pcmamba.convert.pcm import from_released, to_released
from pcmamba.convert.prompt_search import search_prompt_blocks

__all__ = ["from_released", "search_prompt_blocks", "to_released"]

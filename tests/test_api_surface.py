"""The public names are those of `api_surface.json`; a change there is a change for users."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

PINNED = json.loads((Path(__file__).parent / "api_surface.json").read_text())


@pytest.mark.parametrize("module", PINNED)
def test_public_names_are_pinned(module: str) -> None:
    loaded = importlib.import_module(module)
    assert sorted(loaded.__all__) == PINNED[module]
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []

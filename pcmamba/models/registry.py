"""The models by name. An entry is a function that returns a configuration with `build()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pcmamba.registry import Registry

MODELS: Registry[Callable[[], Any]] = Registry("model")

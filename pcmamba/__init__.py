"""3D perception on point clouds and event cameras with state-space models.

Example:
    `pcmamba.load("runs/demo").predict("scan.ply")` labels a file with a trained model.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcmamba.data.readers import read_points
    from pcmamba.models import create_model, list_models
    from pcmamba.train.predictor import load

__version__ = "0.1.0"

# Idle OpenMP threads spin for the next loop and keep others from the cores: ten times slower where
# cores are busy. OpenMP reads this when torch is imported, so it takes effect where pcmamba is
# imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Loaded when first used: the command line answers before torch is imported.
_HOMES = {
    "create_model": "pcmamba.models",
    "list_models": "pcmamba.models",
    "load": "pcmamba.train.predictor",
    "read_points": "pcmamba.data.readers",
}

__all__ = ["__version__", "create_model", "list_models", "load", "read_points"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

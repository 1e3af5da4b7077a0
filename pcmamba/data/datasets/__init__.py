"""Data sets, one file each."""

from __future__ import annotations

from typing import Any

from pcmamba.registry import Registry

DATASETS: Registry[type[Any]] = Registry("data set")

# Below the registry, since each of them adds itself to it.
from pcmamba.data.datasets.few_shot import FewShot  # noqa: E402
from pcmamba.data.datasets.folder import Folder  # noqa: E402
from pcmamba.data.datasets.modelnet40 import ModelNet40  # noqa: E402
from pcmamba.data.datasets.shapes import Shapes  # noqa: E402

__all__ = ["DATASETS", "FewShot", "Folder", "ModelNet40", "Shapes"]

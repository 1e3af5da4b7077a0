"""Reference outputs of independent programs, where the folder that holds them is present."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcmamba.testing.shared import shared_folder


@dataclass(frozen=True)
class Golden:
    """One set of reference outputs.

    Attributes:
        meta: Configuration, tolerances and names.
        arrays: Inputs, outputs and probes of intermediates.
        fill: The module that makes the seeded weights again.
        weights: Seeded weights under the released names.
    """

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    fill: ModuleType
    weights: dict[str, torch.Tensor]

    def close(self, name: str, values: list[torch.Tensor]) -> bool:
        """Tell whether one of the layouts of an intermediate agrees with its stored probe."""
        wanted = self.arrays[f"inter/{name}/slice"]
        apart = min(np.abs(self.fill.probe(v.contiguous())[1] - wanted).max() for v in values)
        return bool(apart <= 2e-5 * max(1.0, np.abs(wanted).max()))


def load_golden(name: str) -> Golden:
    """Load the reference outputs `name` from the shared folder.

    Raises:
        FileNotFoundError: There is no shared folder.
    """
    shared = shared_folder()
    if shared is None:
        raise FileNotFoundError("the folder of reference outputs must lie beside the repository")
    folder = shared / "golden"
    spec = importlib.util.spec_from_file_location("fill", folder / "fill.py")
    assert spec and spec.loader
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    with np.load(folder / f"{name}.npz") as archive:
        arrays = dict(archive)
    meta = json.loads((folder / f"{name}.json").read_text())
    weights = fill.seeded_state_dict(*fill.read_spec(folder / f"{name}.json"))
    return Golden(meta, arrays, fill, weights)

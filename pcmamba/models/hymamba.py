"""HyMamba: Mamba3D with geometry-feature coupled pooling and a collaborative feature enhancer.

Paper: HyMamba (2025), arXiv 2505.11099. Its model code was not released: pooling and enhancer are
our reading of the text, and parameters and products agree with the published counts.
"""

from __future__ import annotations

import dataclasses

from pcmamba.models.mamba3d import Mamba3DConfig, mamba3d, mamba3d_small
from pcmamba.models.registry import MODELS


def _coupled(config: Mamba3DConfig) -> Mamba3DConfig:
    return dataclasses.replace(config, pool_weight="exp", enhancer=True)


@MODELS.register("hymamba")
def hymamba() -> Mamba3DConfig:
    """HyMamba of the paper."""
    return _coupled(mamba3d())


@MODELS.register("hymamba_small")
def hymamba_small() -> Mamba3DConfig:
    """Our small HyMamba: trains on CPU cores."""
    return _coupled(mamba3d_small())

"""Layers shared by several models."""

from pcmamba.nn.bidirectional_mamba import BidirectionalMamba, ScanDirection
from pcmamba.nn.causal_mamba import CausalMamba
from pcmamba.nn.drop_path import DropPath
from pcmamba.nn.feature_enhancer import FeatureEnhancer
from pcmamba.nn.local_grouper import Centres, LocalGrouper
from pcmamba.nn.local_norm_pool import LocalNormPool
from pcmamba.nn.mamba_block import MambaBlock
from pcmamba.nn.patch_embedding import PatchEmbedding, patch_centres
from pcmamba.nn.pointwise import LinearNormReLU, NeighbourPool, NormReLU, ResidualPointMLP
from pcmamba.nn.reorder import take_rows

__all__ = [
    "BidirectionalMamba",
    "CausalMamba",
    "Centres",
    "DropPath",
    "FeatureEnhancer",
    "LinearNormReLU",
    "LocalGrouper",
    "LocalNormPool",
    "MambaBlock",
    "NeighbourPool",
    "NormReLU",
    "PatchEmbedding",
    "ResidualPointMLP",
    "ScanDirection",
    "patch_centres",
    "take_rows",
]

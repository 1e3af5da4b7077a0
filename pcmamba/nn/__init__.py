"""Layers shared by several models."""

from pcmamba.nn.bidirectional_mamba import BidirectionalMamba, ScanDirection
from pcmamba.nn.drop_path import DropPath
from pcmamba.nn.local_grouper import Centres, LocalGrouper
from pcmamba.nn.mamba_block import MambaBlock
from pcmamba.nn.pointwise import LinearNormReLU, NeighbourPool, NormReLU, ResidualPointMLP
from pcmamba.nn.reorder import take_rows

__all__ = [
    "BidirectionalMamba",
    "Centres",
    "DropPath",
    "LinearNormReLU",
    "LocalGrouper",
    "MambaBlock",
    "NeighbourPool",
    "NormReLU",
    "ResidualPointMLP",
    "ScanDirection",
    "take_rows",
]

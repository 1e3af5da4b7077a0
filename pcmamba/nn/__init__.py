"""Layers shared by several models."""

from pcmamba.nn.bidirectional_mamba import BidirectionalMamba, ScanDirection
from pcmamba.nn.causal_mamba import CausalMamba
from pcmamba.nn.drop_path import DropPath
from pcmamba.nn.feature_enhancer import FeatureEnhancer
from pcmamba.nn.grid_order import grid_order
from pcmamba.nn.local_grouper import Centres, LocalGrouper
from pcmamba.nn.local_norm_pool import LocalNormPool
from pcmamba.nn.mamba_block import MambaBlock
from pcmamba.nn.neuron import IF, LIF, Neuron
from pcmamba.nn.norm_neuron import NormNeuron, Rectifier
from pcmamba.nn.patch_embedding import PatchEmbedding, patch_centres
from pcmamba.nn.plif import PLIF
from pcmamba.nn.pointwise import LinearNormReLU, NeighbourPool, NormReLU, ResidualPointMLP
from pcmamba.nn.reorder import take_rows
from pcmamba.nn.spiking_attention import AttentionState, MapConv, SpikingLinearAttention
from pcmamba.nn.spiking_mamba import MixerState, Scan, SpikingMamba
from pcmamba.nn.spikingjelly import from_spikingjelly, to_spikingjelly

__all__ = [
    "IF",
    "LIF",
    "PLIF",
    "AttentionState",
    "BidirectionalMamba",
    "CausalMamba",
    "Centres",
    "DropPath",
    "FeatureEnhancer",
    "LinearNormReLU",
    "LocalGrouper",
    "LocalNormPool",
    "MambaBlock",
    "MapConv",
    "MixerState",
    "NeighbourPool",
    "Neuron",
    "NormNeuron",
    "NormReLU",
    "PatchEmbedding",
    "Rectifier",
    "ResidualPointMLP",
    "Scan",
    "ScanDirection",
    "SpikingLinearAttention",
    "SpikingMamba",
    "from_spikingjelly",
    "grid_order",
    "patch_centres",
    "take_rows",
    "to_spikingjelly",
]

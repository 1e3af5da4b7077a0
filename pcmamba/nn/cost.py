"""Operations of a forward pass, counted layer by layer from the layers' definitions.

One multiplication with its addition is one operation, as published tables count. Layers that save
work by a rearrangement, such as projecting before gathering, are counted as they are defined, so
that the figures can be compared with published ones. Not counted: sampling, neighbours, sorting,
pooling, activations and other work of one operation an entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from pcmamba.nn.bidirectional_mamba import BidirectionalMamba, ScanDirection
from pcmamba.nn.causal_mamba import CausalMamba
from pcmamba.nn.feature_enhancer import FeatureEnhancer
from pcmamba.nn.local_grouper import LocalGrouper
from pcmamba.nn.mamba_block import MambaBlock
from pcmamba.nn.patch_embedding import PatchEmbedding
from pcmamba.nn.pointwise import NeighbourPool, NormReLU

BATCH_NORM, RMS_NORM, LAYER_NORM = 2, 4, 5  # operations an entry; batch norm in evaluation mode
STATE = 4  # decay exponent, input, recurrence, output: operations a state and step


class Operations(NamedTuple):
    """Counts of multiply-adds.

    Attributes:
        products: Matrix products and convolutions outside the scans.
        norms: Normalisations: 5 operations an entry for layers and groups, 2 for batches, 4 for
            root mean squares.
        scan_products: The scans' depthwise convolutions and projections to B, C and the steps.
        scan_states: The recurrences themselves, 4 operations a state and step.
    """

    products: int = 0
    norms: int = 0
    scan_products: int = 0
    scan_states: int = 0

    @property
    def without_scans(self) -> int:
        """What fvcore counts of a Mamba program, to which the fused scan is one unknown op."""
        return self.products + self.norms

    @property
    def total(self) -> int:
        """Everything."""
        return sum(self)

    def plus(self, other: Operations) -> Operations:
        """Return the sums entry by entry."""
        return Operations(*(a + b for a, b in zip(self, other, strict=True)))


Formula = Callable[[Any, tuple[Any, ...], Any], Operations]


@contextmanager
def counted(module: nn.Module) -> Iterator[list[Operations]]:
    """Count what `module` does inside the context; the list's only entry is the sum so far."""
    found = [Operations()]

    def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        found[0] = found[0].plus(FORMULAS[type(layer)](layer, inputs, output))

    known = (layer for layer in module.modules() if type(layer) in FORMULAS)
    handles = [layer.register_forward_hook(hook) for layer in known]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _linear(layer: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Operations:
    return Operations(products=output.numel() * layer.in_features)


def _convolution(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Operations:
    taps = math.prod(layer.kernel_size) * layer.in_channels // layer.groups
    return Operations(products=output.numel() * taps)


def _norm(operations: int) -> Formula:
    return lambda layer, inputs, output: Operations(norms=operations * inputs[0].numel())


def _patch_embedding(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Operations:
    # The product that is split in two; the others are layers that are called.
    split = layer.patch[0][0]
    rows = inputs[1].shape[0] * inputs[1].shape[1] * layer.patch_size
    return Operations(products=rows * split.in_features * split.out_features)


def _grouper(layer: LocalGrouper, inputs: tuple[Tensor, ...], output: Any) -> Operations:
    return Operations(products=output[1].numel() * layer.projection.in_features)


def _enhancer(layer: FeatureEnhancer, inputs: tuple[Tensor, ...], output: Tensor) -> Operations:
    batch, tokens, both = inputs[0].shape
    entries = batch * (tokens - layer.skip_first) * both // 2
    width = layer.norm.num_channels
    crossed = 2 * entries
    return Operations(products=3 * width * entries + crossed, norms=LAYER_NORM * entries)


def _mixer(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Operations:
    rows = inputs[0].shape[0] * inputs[0].shape[1]
    directions = [part for part in layer.children() if isinstance(part, ScanDirection)]
    looks_ahead = 2 if getattr(layer, "segment", None) is not None else 1
    found = Operations()
    for one in directions:
        width, states = one.A_log.shape
        taps, rank = one.conv.kernel_size[0], one.dt_proj.in_features
        inner = rows * width * (taps + one.x_proj.out_features + rank)
        found = found.plus(
            Operations(scan_products=inner, scan_states=looks_ahead * STATE * rows * width * states)
        )
    return found


FORMULAS: dict[type[nn.Module], Formula] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.BatchNorm1d: _norm(BATCH_NORM),
    nn.BatchNorm2d: _norm(BATCH_NORM),
    nn.LayerNorm: _norm(LAYER_NORM),
    nn.GroupNorm: _norm(LAYER_NORM),
    NormReLU: _norm(BATCH_NORM),
    NeighbourPool: _norm(BATCH_NORM),  # of its last block, which is fused with the maximum
    MambaBlock: _norm(RMS_NORM),
    PatchEmbedding: _patch_embedding,
    LocalGrouper: _grouper,
    FeatureEnhancer: _enhancer,
    BidirectionalMamba: _mixer,
    CausalMamba: _mixer,
}

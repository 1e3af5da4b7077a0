"""Point Cloud Mamba: stages of local grouping and bidirectional scans along grid traversals.

Paper: Zhang et al., Point Cloud Mamba (2024), arXiv 2403.00762.

Deviations of the default from the released code, which `reference=True` reproduces:
- orders are the paper's continuous snake `cts-*`; the released code computes `slab-*`;
- directions and Hilbert depth come from each cloud, never from the batch;
- the backward direction starts with the same step sizes as the forward one;
- decay rates, affine parameters and prompts are not weight-decayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pcmamba.models.classifier import PointClassifier
from pcmamba.models.registry import MODELS
from pcmamba.nn import (
    BidirectionalMamba,
    LinearNormReLU,
    LocalGrouper,
    MambaBlock,
    NeighbourPool,
)
from pcmamba.ops import Scope, permute_rows, serialize
from pcmamba.ops._check import check_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPTS, PROMPT_WIDTH = 6, 384
SNAKES = ("cts-xyz", "cts-xzy", "cts-yxz", "cts-yzx", "cts-zxy", "cts-zyx")


@dataclass(frozen=True)
class PCMConfig:
    """Architecture of one Point Cloud Mamba.

    Attributes:
        num_classes: Outputs.
        in_channels: Channels of the features; 3 takes the coordinates.
        num_points: Points of a training cloud.
        embed_dim: Channels after the embedding.
        widths: Channels of each stage.
        reducers: One centre for so many points, by stage.
        blocks: Mamba layers of each stage.
        orders: One order for each Mamba layer, first stage first.
        neighbours: Points in a local group.
        use_xyz: Compare coordinates too in local groups.
        use_position: Add projected coordinates before each Mamba layer.
        use_prompts: Put order prompts at both ends of each sequence.
        carry_residual: Hand the residual stream from stage to stage.
        grid_size: Edge of a serialization cell, in units of the normalised cloud.
        state_size: States per channel of the scans.
        drop_path: Largest rate of stochastic depth (the last layer stays below it).
        dropout: Rate in the head.
        prompt_blocks: Block of prompt rows of each order; empty: order of first appearance.
        reference: Reproduce the released code (see the module's text).
        parity: Where `slab-*` take their direction and Hilbert its depth from under `reference`.
    """

    num_classes: int = 40
    in_channels: int = 3
    num_points: int = 1024
    embed_dim: int = 192
    widths: tuple[int, ...] = (192, 192, 384, 384)
    reducers: tuple[int, ...] = (1, 2, 2, 2)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    orders: tuple[str, ...] = SNAKES
    neighbours: int = 12
    use_xyz: bool = True
    use_position: bool = True
    use_prompts: bool = True
    carry_residual: bool = True
    grid_size: float = 0.02
    state_size: int = 16
    drop_path: float = 0.1
    dropout: float = 0.5
    prompt_blocks: Mapping[str, int] | None = None
    reference: bool = False
    parity: Scope = "batch"

    def __post_init__(self) -> None:
        stages = len(self.widths)
        if not stages == len(self.reducers) == len(self.blocks):
            raise ValueError(
                "widths, reducers and blocks must have one entry for each stage, got "
                f"{stages}, {len(self.reducers)} and {len(self.blocks)}"
            )
        if len(self.orders) != sum(self.blocks):
            raise ValueError(
                f"orders must name one order for each of the {sum(self.blocks)} layers, "
                f"got {len(self.orders)}"
            )

    @property
    def layer_orders(self) -> tuple[str, ...]:
        """The orders that run: under `reference` every `cts-*` is the released `slab-*`."""
        if not self.reference:
            return self.orders
        return tuple(order.replace("cts-", "slab-") for order in self.orders)

    @property
    def prompt_rows(self) -> dict[str, int]:
        """First row of each order's prompts."""
        blocks = self.prompt_blocks
        if not blocks:
            blocks = {order: i for i, order in enumerate(dict.fromkeys(self.layer_orders))}
        return {order: PROMPTS * block for order, block in blocks.items()}

    @property
    def drop_path_rates(self) -> list[float]:
        """Rates by layer: none in the first two, then rising, shifted by one as released."""
        layers = sum(self.blocks)
        step = self.drop_path / max(layers - 1, 1)
        return [max(layer - 1, 0) * step for layer in range(layers)]

    def build(self) -> PointCloudMamba:
        """Make the model with fresh weights."""
        return PointCloudMamba(self)


class PCMStage(nn.Module):
    """Group, pool, then run the stage's Mamba layers, each along its own order.

    Args:
        config: The whole model's configuration.
        index: Which stage.
    """

    def __init__(self, config: PCMConfig, index: int) -> None:
        super().__init__()
        before = (config.embed_dim, *config.widths)[index]
        width, first = config.widths[index], sum(config.blocks[:index])
        layers = range(first, first + config.blocks[index])
        self.orders = config.layer_orders[layers.start : layers.stop]
        self.prompt_rows = config.prompt_rows
        self.grid_size = config.grid_size
        self.parity = config.parity if config.reference else "cloud"
        self.grouper = LocalGrouper(
            before,
            width,
            neighbours=config.neighbours,
            reducer=config.reducers[index],
            use_xyz=config.use_xyz,
        )
        self.pool = NeighbourPool(width)
        self.position = nn.Linear(3, width, bias=False) if config.use_position else None
        self.prompt = nn.Linear(PROMPT_WIDTH, width, bias=False) if config.use_prompts else None
        carries = config.carry_residual and index > 0
        self.widen = nn.Linear(before, width, bias=False) if carries and before != width else None
        rates = config.drop_path_rates
        self.blocks = nn.ModuleList(_block(config, width, rates[layer]) for layer in layers)

    def forward(
        self, xyz: Tensor, x: Tensor, residual: Tensor | None, order: str, prompts: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        """Return coordinates (B, S, 3), features (B, S, C), residual (B, S, C) and their order.

        Args:
            xyz: (B, N, 3) coordinates, as given to the network.
            x: (B, N, C_before) features.
            residual: (B, N, C_before) residual stream of the stage before, or None.
            order: The order the points are in.
            prompts: (orders * 6, 384) prompt table, or None.
        """
        centres, groups = self.grouper(xyz, x, residual)
        xyz, x, residual = centres.xyz, self.pool(groups), centres.residual
        if residual is not None and self.widen is not None:
            residual = self.widen(residual)
        for block, wanted in zip(self.blocks, self.orders, strict=True):
            if wanted != order:
                xyz, x, residual = self._reorder(xyz, x, residual, wanted)
                order = wanted
            x, residual = self._layer(block, xyz, x, residual, order, prompts)
        return xyz, x, residual, order

    def _reorder(
        self, xyz: Tensor, x: Tensor, residual: Tensor | None, order: str
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        perm = serialize(xyz, order, grid_size=self.grid_size, parity=self.parity, seed=0).perm
        stream = None if residual is None else permute_rows(residual, perm)
        return permute_rows(xyz, perm), permute_rows(x, perm), stream

    def _layer(
        self,
        block: nn.Module,
        xyz: Tensor,
        x: Tensor,
        residual: Tensor | None,
        order: str,
        prompts: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        if self.position is not None:
            x = x + self.position(xyz)
        if prompts is None or self.prompt is None:
            return block(x, residual)
        first = self.prompt_rows[order]
        rows = self.prompt(prompts[first : first + PROMPTS]).to(x.dtype)
        rows = rows.expand(len(x), -1, -1)
        x = torch.cat([rows, x, rows], dim=1)
        if residual is not None:
            rows = rows.to(residual.dtype)
            residual = torch.cat([rows, residual, rows], dim=1)
        x, residual = block(x, residual)
        return x[:, PROMPTS:-PROMPTS], residual[:, PROMPTS:-PROMPTS]


class PointCloudMamba(PointClassifier):
    """Point Cloud Mamba for classification.

    Args:
        config: The architecture.

    Source: Zhang et al., Point Cloud Mamba (2024), section 3.
    """

    def __init__(self, config: PCMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = LinearNormReLU(config.in_channels, config.embed_dim)
        self.stages = nn.ModuleList(PCMStage(config, i) for i in range(len(config.widths)))
        self.prompts = None
        if config.use_prompts:
            rows = PROMPTS * len(set(config.layer_orders))
            self.prompts = nn.Parameter(torch.randn(rows, PROMPT_WIDTH))
        self.head = nn.Sequential(
            LinearNormReLU(config.widths[-1], 512),
            nn.Dropout(config.dropout),
            LinearNormReLU(512, 256),
            nn.Dropout(config.dropout),
            nn.Linear(256, config.num_classes),
        )

    def forward_features(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the features of the last stage's points (B, S, C), in their last order.

        Args:
            xyz: (B, N, 3) coordinates of normalised clouds.
            features: (B, N, in_channels) features; None takes the coordinates.

        Raises:
            ValueError: Shapes disagree with each other or with `in_channels`.
        """
        features = xyz if features is None else features
        check_shapes(xyz=(xyz, "B N 3"), features=(features, f"B N {self.config.in_channels}"))
        x, residual, order = self.embedding(features), None, "original"
        for stage in self.stages:
            if not self.config.carry_residual:
                residual = None
            xyz, x, residual, order = stage(xyz, x, residual, order, self.prompts)
        return x

    def forward_head(self, x: Tensor) -> Tensor:
        """Map point features (B, S, C) to logits (B, num_classes) through their maximum."""
        return self.head(x.max(dim=1).values)

    def forward(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Map clouds (B, N, 3) to logits (B, num_classes); see `forward_features`."""
        return self.forward_head(self.forward_features(xyz, features))

    def no_weight_decay(self) -> set[str]:
        """Return decay rates, affine parameters and prompts; none under `reference`."""
        if self.config.reference:
            return set()
        kept = ("A_log", "alpha", "beta", "prompts")
        return {name for name, _ in self.named_parameters() if name.endswith(kept)}


def _block(config: PCMConfig, width: int, drop_path: float) -> MambaBlock:
    mixer = BidirectionalMamba(
        width, state_size=config.state_size, plain_backward_step=config.reference
    )
    # Keeps the variance of the residual stream bounded in depth, as GPT-2 does.
    with torch.no_grad():
        mixer.out_proj.weight /= sum(config.blocks) ** 0.5
    return MambaBlock(mixer, width, drop_path)


@MODELS.register("pcm_nano")
def pcm_nano() -> PCMConfig:
    """Our small size: trains on two CPU cores in minutes."""
    return PCMConfig(
        embed_dim=32,
        widths=(32, 64, 128),
        reducers=(4, 2, 2),
        blocks=(1, 1, 1),
        orders=("cts-xyz", "cts-yzx", "cts-zxy"),
        neighbours=8,
        drop_path=0.0,
    )


@MODELS.register("pcm_tiny")
def pcm_tiny() -> PCMConfig:
    """PCM-Tiny of the paper."""
    return PCMConfig()


@MODELS.register("pcm")
def pcm() -> PCMConfig:
    """PCM of the paper."""
    return PCMConfig(
        embed_dim=384,
        widths=(384, 384, 768, 768),
        blocks=(1, 2, 2, 4),
        orders=(*SNAKES, "hilbert", "z", "z-trans"),
    )


@MODELS.register("pcm_naive")
def pcm_naive() -> PCMConfig:
    """The paper's baseline: z order only, no prompts, no position, no carried residual."""
    return PCMConfig(
        embed_dim=64,
        widths=(128, 256, 512, 1024),
        reducers=(2, 2, 2, 2),
        blocks=(2, 2, 2, 2),
        orders=("z",) * 8,
        neighbours=24,
        use_xyz=False,
        use_position=False,
        use_prompts=False,
        carry_residual=False,
    )

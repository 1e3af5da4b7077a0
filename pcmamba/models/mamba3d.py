"""Mamba3D: patches of a cloud as tokens, local norm pooling and two scans in every block.

Paper: Han et al., Mamba3D (2024), arXiv 2404.14966.

Deviations of the default from the released code, which `reference=True` reproduces:
- the head adds each cloud's own mean, the released code that of the batch's first cloud;
- differences to neighbours are normalised by one deviation for each cloud, not for the batch;
- centres near the origin may be sampled.
Further, both scans start with small random steps; the released second one starts with PyTorch's
default weights, which matters to training alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pcmamba.models.classifier import PointClassifier
from pcmamba.models.registry import MODELS
from pcmamba.nn import (
    BidirectionalMamba,
    CausalMamba,
    DropPath,
    FeatureEnhancer,
    LinearNormReLU,
    LocalNormPool,
    PatchEmbedding,
    patch_centres,
    take_rows,
)
from pcmamba.nn.feature_enhancer import Mixing
from pcmamba.ops import knn, serialize
from pcmamba.ops._check import check_shapes
from pcmamba.ops.gfcp import DistanceWeight

LOCAL_SEGMENT = 16


@dataclass(frozen=True)
class Mamba3DConfig:
    """Architecture of one Mamba3D or HyMamba.

    Attributes:
        num_classes: Outputs.
        in_channels: 3; the tokens come from coordinates alone.
        num_points: Points of a training cloud.
        width: C of a token.
        depth: Blocks.
        num_patches: Tokens.
        patch_size: Points of a patch.
        neighbours: K of the local pooling, the token itself included.
        pool_weight: How distance counts in the pooling: "none" as Mamba3D, "exp" as HyMamba,
            "relative" free of scale.
        enhancer: Put HyMamba's feature enhancer before the scans.
        enhancer_groups: Groups of channels that share the enhancer's weights.
        enhancer_mixing: What the enhancer returns; see `FeatureEnhancer`.
        enhancer_skips_class: Leave the class token out of the enhancer.
        order: Order of the tokens: "fps" as sampled, or an order of `serialize`.
        grid_size: Edge of a serialization cell, in units of the normalised cloud.
        scan: What the second scan reverses, "channel" as released or "token"; "none" has one scan,
            "local" one that looks ahead inside segments of 16 tokens.
        state_size: States per channel of the scans.
        drop_path: Rate of stochastic depth of the last block, rising from 0.
        dropout: Rate in the head.
        reference: Reproduce the released code (see the module's text).
    """

    num_classes: int = 40
    in_channels: int = 3
    num_points: int = 1024
    width: int = 384
    depth: int = 12
    num_patches: int = 128
    patch_size: int = 32
    neighbours: int = 4
    pool_weight: DistanceWeight = "none"
    enhancer: bool = False
    enhancer_groups: int = 32
    enhancer_mixing: Mixing = "gated"
    enhancer_skips_class: bool = False
    order: str = "fps"
    grid_size: float = 0.02
    scan: Literal["channel", "token", "none", "local"] = "channel"
    state_size: int = 16
    drop_path: float = 0.2
    dropout: float = 0.5
    reference: bool = False

    def __post_init__(self) -> None:
        if self.in_channels != 3:
            raise ValueError(f"in_channels must be 3, got {self.in_channels}")
        if self.scan not in ("channel", "token", "none", "local"):
            raise ValueError(f"scan must be channel, token, none or local, got {self.scan!r}")

    def build(self) -> Mamba3D:
        """Make the model with fresh weights."""
        return Mamba3D(self)


class TokenBlock(nn.Module):
    """Pool over neighbouring tokens, then scan all tokens, each around a shortcut.

    Args:
        config: The whole model's configuration.
        drop_path: Rate of stochastic depth.
    """

    def __init__(self, config: Mamba3DConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-5)
        self.pool = LocalNormPool(
            config.width, weight=config.pool_weight, per_sample=not config.reference
        )
        self.norm2 = nn.LayerNorm(config.width, eps=1e-5)
        self.mixer = _mixer(config)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, centres: Tensor, idx: Tensor) -> Tensor:
        """Map the class token and the patches' (B, G + 1, C) to the same shape.

        Args:
            x: (B, G + 1, C), the class token first.
            centres: (B, G, 3) places of the other tokens.
            idx: (B, G, K) their neighbours.
        """
        own, tokens = self.norm1(x).split([1, x.shape[1] - 1], dim=1)
        # The class token has no place, and passes the pooling as it is.
        pooled = torch.cat([own, self.pool(tokens, centres, idx).to(own.dtype)], dim=1)
        x = x + self.drop_path(pooled)
        return x + self.drop_path(self.mixer(self.norm2(x)))


class Mamba3D(PointClassifier):
    """Mamba3D for classification, and HyMamba with pooling by distance and feature enhancer.

    With causal scans over [class token, patches] and no enhancer the class token meets no point:
    its feature is the same for every cloud, as released.

    Args:
        config: The architecture.

    Source: Han et al., Mamba3D (2024), section 3.
    """

    def __init__(self, config: Mamba3DConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = PatchEmbedding(width, config.patch_size)
        self.position = nn.Sequential(nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, width))
        self.class_token = nn.Parameter(torch.empty(width))
        self.class_position = nn.Parameter(torch.empty(width))
        for token in (self.class_token, self.class_position):
            nn.init.trunc_normal_(token, std=0.02)
        last = max(config.depth - 1, 1)
        rates = [config.drop_path * i / last for i in range(config.depth)]
        self.blocks = nn.ModuleList(TokenBlock(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.head = nn.Sequential(
            LinearNormReLU(2 * width, 256, bias=True),
            nn.Dropout(config.dropout),
            LinearNormReLU(256, 256, bias=True),
            nn.Dropout(config.dropout),
            nn.Linear(256, config.num_classes),
        )

    def forward_features(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the normalised tokens (B, G + 1, C), the class token first.

        Args:
            xyz: (B, N, 3) coordinates of normalised clouds.
            features: Not used; the coordinates are all the model takes.

        Raises:
            ValueError: `xyz` has another shape, or too few points for the patches.
        """
        check_shapes(xyz=(xyz, "B N 3"))
        centres = self.centres(xyz)
        return self.encode(self.embedding(xyz, centres), centres)

    def centres(self, xyz: Tensor) -> Tensor:
        """Return the patches' centres (B, G, 3) in the order of the tokens."""
        config = self.config
        centres = patch_centres(xyz, config.num_patches, skip_origin=config.reference)
        if config.order == "fps":
            return centres
        perm = serialize(centres, config.order, grid_size=config.grid_size, seed=0).perm
        return take_rows(centres, perm)

    def encode(self, tokens: Tensor, centres: Tensor) -> Tensor:
        """Run the blocks over tokens (B, G, C) at `centres` (B, G, 3); see `forward_features`."""
        batch = len(tokens)
        idx = knn(centres, centres, self.config.neighbours).idx
        ends = (self.class_token, self.class_position)
        token, place = (end.to(tokens.dtype).expand(batch, 1, -1) for end in ends)
        x = torch.cat([token, tokens], dim=1)
        position = torch.cat([place, self.position(centres).to(tokens.dtype)], dim=1)
        for block in self.blocks:
            x = block(x + position, centres, idx)
        return self.norm(x)

    def forward_head(self, x: Tensor) -> Tensor:
        """Map tokens (B, G + 1, C) to logits (B, num_classes)."""
        own, tokens = x[:, 0], x[:, 1:]
        mean = tokens.mean(dim=1)
        if self.config.reference:
            mean = mean[:1]
        return self.head(torch.cat([own, tokens.amax(dim=1) + mean], dim=-1))

    def forward(self, xyz: Tensor, features: Tensor | None = None) -> Tensor:
        """Map clouds (B, N, 3) to logits (B, num_classes); see `forward_features`."""
        return self.forward_head(self.forward_features(xyz, features))

    def no_weight_decay(self) -> set[str]:
        """Return decay rates of the scans; none under `reference`."""
        if self.config.reference:
            return set()
        return {name for name, _ in self.named_parameters() if name.endswith("A_log")}


def _mixer(config: Mamba3DConfig) -> nn.Module:
    enhancer = None
    if config.enhancer:
        enhancer = FeatureEnhancer(
            2 * config.width,
            groups=config.enhancer_groups,
            mixing=config.enhancer_mixing,
            skip_first=config.enhancer_skips_class,
        )
    shared: dict[str, Any] = {"state_size": config.state_size, "enhancer": enhancer}
    if config.scan in ("channel", "token"):
        return BidirectionalMamba(config.width, direction=config.scan, **shared)
    segment = LOCAL_SEGMENT if config.scan == "local" else None
    return CausalMamba(config.width, segment=segment, **shared)


@MODELS.register("mamba3d")
def mamba3d() -> Mamba3DConfig:
    """Mamba3D of the paper."""
    return Mamba3DConfig()


@MODELS.register("mamba3d_small")
def mamba3d_small() -> Mamba3DConfig:
    """Our small Mamba3D: trains on CPU cores."""
    return Mamba3DConfig(width=96, depth=4, num_patches=64, patch_size=16, drop_path=0.1)

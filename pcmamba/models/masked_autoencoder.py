"""Masked pre-training of Mamba3D and HyMamba: hide patches, rebuild them from the others.

After Pang et al., Point-MAE (2022); the pre-training program of Mamba3D was not released, and this
follows what its configuration states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcmamba.models.mamba3d import Mamba3D
from pcmamba.nn import BidirectionalMamba, DropPath
from pcmamba.ops import chamfer_distance


@dataclass(frozen=True)
class MaskingConfig:
    """How a cloud is masked and rebuilt.

    Attributes:
        ratio: Share of the patches that are hidden, in (0, 1).
        decoder_depth: Blocks of the decoder, which has no local pooling.
        drop_path: Rate of stochastic depth of the decoder's last block, rising from 0.
    """

    ratio: float = 0.6
    decoder_depth: int = 4
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ValueError(f"ratio must lie in (0, 1), got {self.ratio}")
        if self.decoder_depth < 1:
            raise ValueError(f"decoder_depth must be at least 1, got {self.decoder_depth}")


class Rebuilt(NamedTuple):
    """Hidden patches and what the decoder makes of them, relative to their centres.

    Attributes:
        loss: (B,) Chamfer distance of each cloud, mean over its hidden patches.
        patches: (B, H, M, 3) the true points.
        guess: (B, H, M, 3) the rebuilt points.
        centres: (B, H, 3) the hidden patches' centres.
    """

    loss: Tensor
    patches: Tensor
    guess: Tensor
    centres: Tensor


class _ScanBlock(nn.Module):
    """A scan around a shortcut, without local pooling."""

    def __init__(self, width: int, state_size: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.mixer = BidirectionalMamba(width, state_size=state_size, direction="channel")
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mixer(self.norm(x)))


class MaskedAutoencoder(nn.Module):
    """Hide patches of a cloud and rebuild their points from the visible ones.

    The encoder is a classifier's own: embedding, positions, blocks and norm. It sees the visible
    patches alone, in their order, with neighbours among them. The decoder's sequence is [visible ;
    hidden], since causal scans carry nothing back.

    Args:
        encoder: The classifier to be pre-trained; its head is not used.
        masking: How to mask and rebuild.
    """

    def __init__(self, encoder: Mamba3D, masking: MaskingConfig) -> None:
        super().__init__()
        self.encoder, self.masking = encoder, masking
        config = encoder.config
        self.hidden = round(masking.ratio * config.num_patches)
        if not 0 < self.hidden <= config.num_patches - config.neighbours:
            raise ValueError(
                f"ratio must hide a patch and leave {config.neighbours} of "
                f"{config.num_patches} visible, got {masking.ratio}"
            )
        width, last = config.width, max(masking.decoder_depth - 1, 1)
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.position = nn.Sequential(nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, width))
        self.decoder = nn.ModuleList(
            _ScanBlock(width, config.state_size, masking.drop_path * i / last)
            for i in range(masking.decoder_depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.points = nn.Linear(width, 3 * config.patch_size)

    def forward(self, xyz: Tensor, order: Tensor | None = None) -> Rebuilt:
        """Hide, encode, rebuild and compare.

        Args:
            xyz: (B, N, 3) coordinates of normalised clouds.
            order: (B, G) int64 permutations of the patches, the first ones hidden; None draws
                them from the global generator.

        Raises:
            ValueError: A shape disagrees, or a cloud has too few points for the patches.
        """
        centres = self.encoder.centres(xyz)
        if order is None:
            order = torch.rand(centres.shape[:2], device=xyz.device).argsort(dim=1)
        patches = self.encoder.embedding.patches(xyz, centres)
        # Ascending, so that visible and hidden patches keep the order of the tokens.
        parts = order.tensor_split([self.hidden], dim=1)
        hidden, seen = (part.sort(dim=1).values for part in parts)
        seen_centres, hidden_centres = _take(centres, seen), _take(centres, hidden)
        tokens = self.encoder.embedding.embed(_take(patches, seen))
        tokens = self.encoder.encode(tokens, seen_centres)[:, 1:]
        guess = self._decode(tokens, seen_centres, hidden_centres)
        truth = _take(patches, hidden)
        apart = chamfer_distance(guess.flatten(0, 1), truth.flatten(0, 1))
        return Rebuilt(apart.view(guess.shape[:2]).mean(dim=1), truth, guess, hidden_centres)

    def _decode(self, tokens: Tensor, seen_centres: Tensor, hidden_centres: Tensor) -> Tensor:
        batch, count, _ = hidden_centres.shape
        blank = self.mask_token.to(tokens.dtype).expand(batch, count, -1)
        place = self.position(torch.cat([seen_centres, hidden_centres], dim=1))
        x = torch.cat([tokens, blank], dim=1)
        for block in self.decoder:
            x = block(x + place)
        guess = self.points(self.norm(x[:, -count:]))
        return guess.float().view(batch, count, -1, 3)

    def no_weight_decay(self) -> set[str]:
        """Return names of parameters that must not decay besides those with one axis."""
        return {name for name, _ in self.named_parameters() if name.endswith("A_log")}


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Return values (B, G, ...) at rows (B, H)."""
    index = rows.view(*rows.shape, *(1,) * (values.dim() - 2))
    return values.gather(1, index.expand(-1, -1, *values.shape[2:]))

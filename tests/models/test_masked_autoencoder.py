"""Masked pre-training: what is hidden stays hidden, gradients reach everything, it learns."""

from __future__ import annotations

import pytest
import torch

from pcmamba.models import create_model
from pcmamba.models.masked_autoencoder import MaskedAutoencoder, MaskingConfig

SMALL = {"width": 32, "depth": 2, "num_patches": 16, "patch_size": 8, "enhancer_groups": 8}


def clouds(batch: int = 3, points: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    xyz = torch.randn(batch, points, 3, generator=generator)
    return xyz / xyz.norm(dim=-1).amax(dim=1)[:, None, None]


def autoencoder(**masking) -> MaskedAutoencoder:
    torch.manual_seed(1)
    encoder = create_model("hymamba", num_classes=5, **SMALL)
    return MaskedAutoencoder(encoder, MaskingConfig(**{"decoder_depth": 2, **masking}))


def order(batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.stack([torch.randperm(16, generator=generator) for _ in range(batch)])


def test_shapes_and_gradients_of_all_but_the_head() -> None:
    model = autoencoder()
    rebuilt = model(clouds(), order())
    assert rebuilt.patches.shape == rebuilt.guess.shape == (3, 10, 8, 3)
    rebuilt.loss.mean().backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(name.startswith("encoder.head") for name in silent)
    assert silent


def test_the_guess_never_sees_the_hidden_points() -> None:
    model, batch, places = autoencoder().eval(), clouds(1), order(1)
    with torch.no_grad():
        first = model(batch, places)
        centres = model.encoder.centres(batch)
        patches = model.encoder.embedding.patches(batch, centres)
        model.encoder.embedding.patches = lambda *_: _disturbed(patches, places, model.hidden)
        second = model(batch, places)
    assert torch.equal(first.guess, second.guess)
    assert (first.loss - second.loss).abs().max() > 1e-3


def _disturbed(patches: torch.Tensor, places: torch.Tensor, hidden: int) -> torch.Tensor:
    changed = patches.clone()
    changed[0, places[0, :hidden]] += 1
    return changed


def test_batch_mates_change_nothing() -> None:
    model, batch, places = autoencoder().eval(), clouds(), order()
    with torch.no_grad():
        together = model(batch, places).loss
        alone = torch.cat([model(batch[i : i + 1], places[i : i + 1]).loss for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_a_few_steps_lower_the_loss() -> None:
    model, batch = autoencoder(), clouds(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    torch.manual_seed(0)
    losses = []
    for _ in range(12):
        loss = model(batch).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_wrong_ratios_are_explained() -> None:
    with pytest.raises(ValueError, match=r"ratio must lie in \(0, 1\), got 1"):
        MaskingConfig(ratio=1.0)
    with pytest.raises(ValueError, match="ratio must hide a patch and leave 4 of 16 visible"):
        autoencoder(ratio=0.9)

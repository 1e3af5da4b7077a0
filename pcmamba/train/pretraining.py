"""The training step of masked pre-training, as a Lightning module."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from pcmamba.data.batch import ModelBatch
from pcmamba.models import Classifier
from pcmamba.models.mamba3d import Mamba3D
from pcmamba.models.masked_autoencoder import MaskedAutoencoder, MaskingConfig
from pcmamba.train.module import ClassificationModule
from pcmamba.train.recipe import Recipe

SHOWN = 1000  # losses are told in thousandths of a squared radius


class PretrainingModule(ClassificationModule):
    """Rebuild hidden patches of clouds; labels are not looked at.

    Everything but the objective is as in classification: steps, schedule, averaging, resume.

    Args:
        classifier: What is pre-trained, the autoencoder's encoder.
        recipe: Its section `pretrain` says how.
        steps_per_epoch: Optimizer steps of an epoch.

    Raises:
        ValueError: The classifier has no patches to hide.
    """

    classifies = False

    def __init__(self, classifier: Classifier, recipe: Recipe, steps_per_epoch: int) -> None:
        if not isinstance(classifier, Mamba3D):
            raise ValueError(
                "pretrain must be of a model with patches (mamba3d, hymamba), "
                f"got {classifier.name}"
            )
        how = recipe.pretrain
        masking = MaskingConfig(how.mask_ratio, how.decoder_depth, how.decoder_drop_path)
        model = MaskedAutoencoder(classifier, masking)
        super().__init__(model, recipe, steps_per_epoch, len(classifier.class_names))

    @property
    def classifier(self) -> Classifier:
        """The encoder, whose head is as fresh as before."""
        return cast("Classifier", self.model.encoder)

    def objective(self, labels: Tensor, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch; nothing is classified."""
        return SHOWN * self.model(inputs[0]).loss.mean(), torch.zeros_like(labels[0])

    def validation_step(self, batch: ModelBatch, batch_idx: int) -> None:
        """Add up the loss of a batch, with the same patches hidden each time."""
        generator = torch.Generator().manual_seed(self.recipe.seed + batch_idx)
        patches = self.classifier.config.num_patches
        order = torch.rand(len(batch), patches, generator=generator).argsort(dim=1)
        loss = self.model(batch.inputs[0], order.to(batch.index.device)).loss.mean()
        self.val_loss[0] += SHOWN * loss * len(batch)
        self.val_loss[1] += len(batch)

    def on_validation_epoch_end(self) -> None:
        """Turn the sum into a number."""
        loss, count = self.val_loss.tolist()
        self.validation = {"val/loss": loss / count}

"""From a recipe's data section to loaders: split, preparation, augmentation, position."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import lightning
import torch

from pcmamba.data.batch import ModelBatch
from pcmamba.data.datasets import DATASETS
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.loader import ResidentLoader
from pcmamba.data.prepare import PreparedSet
from pcmamba.data.transforms import TRANSFORMS, Transform
from pcmamba.registry import unknown_name
from pcmamba.train.inputs import AnyPreprocessing, evaluation_transforms, training_transforms
from pcmamba.train.recipe import DataConfig
from pcmamba.train.split import validation_split


class EpochRest:
    """What remains of one epoch of a loader, from a batch on; the length says how much."""

    def __init__(self, loader: ResidentLoader, epoch: int, first: int) -> None:
        self.loader, self.epoch, self.first = loader, epoch, first

    def __len__(self) -> int:
        return len(self.loader) - self.first

    def __iter__(self) -> Iterator[Any]:
        place = {**self.loader.state_dict(), "epoch": self.epoch, "position": self.first}
        self.loader.load_state_dict(place)
        return iter(self.loader)


def make_dataset(data: DataConfig) -> Any:
    """Build the data set of a recipe; its prepared form is used wherever that is up to date.

    A set that is made or read at a chosen number of points has at least `data.num_points`.

    Raises:
        ValueError: Unknown data set, or an option it does not have.
    """
    kind = DATASETS[data.name]
    known: dict[str, Any] = {entry.name: entry.default for entry in dataclasses.fields(kind)}
    for option in data.options:
        if option not in known.keys() - {"root"}:
            raise ValueError(unknown_name(f"option of data set {data.name}", option, known))
    options = dict(data.options)
    if "num_points" in known:
        options.setdefault("num_points", max(known["num_points"], data.num_points))
    return PreparedSet(data.name, kind(root=data.root, **options))


def make_transforms(augment: list[dict[str, dict[str, Any]]]) -> list[Transform]:
    """Build the transforms of a recipe, in order.

    Raises:
        ValueError: Unknown transform or option, or an entry that is not `{name: {options}}`.
    """
    made = []
    for entry in augment:
        if len(entry) != 1:
            raise ValueError(f"an entry of data.augment must be {{name: {{options}}}}, got {entry}")
        [(name, options)] = entry.items()
        kind = TRANSFORMS[name]
        known = {field.name for field in dataclasses.fields(kind)}
        for option in options:
            if option not in known:
                raise ValueError(unknown_name(f"option of transform {name}", option, known))
        made.append(kind(**options))
    return made


def evaluation_loader(
    data_set: LabelledSet,
    preprocessing: AnyPreprocessing,
    batch_size: int,
    device: torch.device | str,
) -> ResidentLoader:
    """Go through a set once in order, prepared for a model; nothing is random."""
    transforms = evaluation_transforms(preprocessing)
    return ResidentLoader(
        data_set, batch_size, shuffle=False, seed=0, device=device, transforms=transforms
    )


class TrainingData(lightning.LightningDataModule):
    """Training and validation loaders of a run that may begin in the middle of an epoch.

    Attributes:
        train_set: Recordings trained on.
        val_set: Recordings kept apart, or None.
    """

    def __init__(
        self, data_set: LabelledSet, data: DataConfig, preprocessing: AnyPreprocessing, seed: int
    ) -> None:
        super().__init__()
        rest, part = validation_split(data_set, data.val_fraction, seed)
        self.train_set = data_set.take(rest)
        self.val_set = data_set.take(part) if len(part) else None
        self.data, self.preprocessing, self.seed = data, preprocessing, seed
        self.transforms = training_transforms(preprocessing, make_transforms(data.augment))
        self.first_epoch = self.first_batch = 0
        self._train: ResidentLoader | None = None
        self._val: ResidentLoader | None = None

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the full batches of an epoch for each of `world_size` processes.

        Raises:
            ValueError: There are too few recordings for one batch.
        """
        steps = -(-len(self.train_set.labels) // world_size) // self.data.batch_size
        if steps == 0:
            raise ValueError(
                f"data.batch_size must be at most the {len(self.train_set.labels)} training "
                f"{self.train_set.unit} over {world_size} processes, got {self.data.batch_size}"
            )
        return steps

    def start_at(self, epoch: int, batch: int) -> None:
        """Begin with this batch of this epoch."""
        self.first_epoch, self.first_batch = epoch, batch

    def train_dataloader(self) -> EpochRest:
        """Return the coming epoch's batches; Lightning asks anew for each epoch."""
        trainer = self.trainer
        assert trainer is not None
        if self._train is None:
            self._train = ResidentLoader(
                self.train_set,
                self.data.batch_size,
                shuffle=True,
                seed=self.seed,
                device=trainer.strategy.root_device,
                transforms=self.transforms,
                drop_last=True,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
            )
        first = self.first_batch if trainer.current_epoch == 0 else 0
        return EpochRest(self._train, self.first_epoch + trainer.current_epoch, first)

    def val_dataloader(self) -> ResidentLoader | list[ResidentLoader]:
        """Return the validation split: all of it in every process, so that all count alike."""
        if self.val_set is None:
            return []
        if self._val is None:
            assert self.trainer is not None
            device = self.trainer.strategy.root_device
            self._val = evaluation_loader(
                self.val_set, self.preprocessing, self.data.eval_batch_size, device
            )
        return self._val

    def transfer_batch_to_device(
        self, batch: ModelBatch, device: torch.device, dataloader_idx: int
    ) -> ModelBatch:
        """Move a batch; the resident loader's is there already."""
        return batch.to(device, non_blocking=True)

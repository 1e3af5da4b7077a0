"""Loader for a data set that fits on the device: exact resume, no workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pcmamba.data.batch import Draw
from pcmamba.data.labelled_set import LabelledSet
from pcmamba.data.random import permutation
from pcmamba.data.transforms import Transform


class ResidentLoader:
    """Iterate over a data set kept on one device, in an order that is a function of (seed, epoch).

    A batch is a gather on the device, then the transforms, whose draws depend on (seed, epoch,
    index) alone. `state_dict` holds the epoch and the number of batches handed out, so training
    that saves after a step goes on with exactly the next batch. With several processes each takes
    every `world_size`-th recording of the order; the order is first extended by its own beginning,
    so that all take the same number (fewer than `world_size` recordings then come twice).

    Args:
        data_set: Clouds or event recordings; moved to `device` once.
        batch_size: Recordings per batch and process.
        shuffle: False keeps the data set's order in every epoch.
        seed: Of the order and of the transforms.
        device: Where the recordings stay; None leaves them where they are.
        transforms: Applied to every batch in turn; their `stream` names must differ.
        drop_last: Leave out the last batch of an epoch if it is not full.
        rank: This process, 0 … world_size - 1.
        world_size: Number of processes.

    Raises:
        ValueError: A size or rank is out of range, the data set is empty, or two transforms share
            a stream, so that their draws would be the same.
    """

    # Lightning calls `set_epoch` on a loader's `sampler`, and looks at `batch_sampler` beside it.
    batch_sampler = None

    def __init__(
        self,
        data_set: LabelledSet,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        device: torch.device | str | None = None,
        transforms: Sequence[Transform] = (),
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check(data_set, batch_size, rank, world_size)
        _check_streams(transforms)
        self.data_set = data_set.to(device)
        self.labels = self.data_set.labels.to(device)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.transforms = tuple(transforms)
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._position = 0
        self._resume_at = 0
        if len(self) == 0:
            raise ValueError(
                f"batch_size must be at most the {len(self.order())} {data_set.unit} of a process "
                f"with drop_last, got {batch_size}"
            )

    @property
    def sampler(self) -> ResidentLoader:
        """The loader itself: what orders the data and wants to know the epoch."""
        return self

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank, resumed or not."""
        share = -(-len(self.labels) // self.world_size)
        return share // self.batch_size if self.drop_last else -(-share // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration runs; another epoch begins at its start."""
        if epoch != self.epoch:
            self._position = self._resume_at = 0
        self.epoch = epoch

    def order(self) -> Tensor:
        """Return the dataset indices of this rank in this epoch, int64, on the device."""
        count, device = len(self.labels), self.labels.device
        order = torch.arange(count, device=device)
        if self.shuffle:
            order = permutation(self.seed, self.epoch, order[0], "order", count)
        extra = -count % self.world_size
        order = torch.cat([order, order[torch.arange(extra, device=device) % count]])
        return order[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[Any]:
        """Hand out this epoch's batches, after `load_state_dict` only those that remained.

        The epoch and the position are read when the first batch is asked for, not here: a trainer
        may make the iterator first and set the epoch later.
        """
        first, self._resume_at = self._resume_at, 0
        order, draw = self.order(), Draw(self.seed, self.epoch)
        self._position = first
        for position in range(first, len(self)):
            chosen = order[position * self.batch_size : (position + 1) * self.batch_size]
            # Counted before it is handed out: while a batch is trained on, it counts as done.
            self._position = position + 1
            yield self._batch(chosen, draw)

    def _batch(self, index: Tensor, draw: Draw) -> Any:
        batch: Any = self.data_set.batch(index)
        for transform in self.transforms:
            batch = transform(batch, draw)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, the batches handed out in it, and what the order depends on."""
        return {"epoch": self.epoch, "position": self._position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next iteration go on after the batches that `state` counts.

        Raises:
            ValueError: The state is of another order: seed, batch size, number of clouds, ….
        """
        for name, mine in self._identity().items():
            if state[name] != mine:
                raise ValueError(
                    f"{name} must be {state[name]!r} to resume the saved data order, got {mine!r}; "
                    "keep the setting of the interrupted run, or start a new run from its weights"
                )
        self.epoch = int(state["epoch"])
        self._position = self._resume_at = int(state["position"])

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "clouds": len(self.labels),
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "world_size": self.world_size,
        }


def _check(data_set: LabelledSet, batch_size: int, rank: int, world_size: int) -> None:
    if len(data_set.labels) == 0:
        raise ValueError(f"data_set must have {data_set.unit}, got none in {data_set.name!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if world_size < 1:
        raise ValueError(f"world_size must be at least 1, got {world_size}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in 0 … world_size - 1 = {world_size - 1}, got {rank}")


def _check_streams(transforms: Sequence[Transform]) -> None:
    streams = [getattr(transform, "stream", None) for transform in transforms]
    for stream in streams:
        if stream is not None and streams.count(stream) > 1:
            raise ValueError(
                f"transforms must have different streams, got {stream!r} twice; "
                "give one of them another `stream`"
            )

"""Averaged weights: exact on resume, in the model's place while it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's parameters; buffers are copied.

    The decay rises with the number of updates t as (1 + t) / (10 + t) up to `decay`, so that the
    first weights, which are random, are forgotten soon.

    Args:
        model: Starts as a copy of its weights.
        decay: In (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in _tensors(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's present weights."""
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        parameters = dict(model.named_parameters())
        mine = [self.weights[name] for name in parameters]
        # All at once: a model has hundreds of tensors, each a kernel of its own otherwise.
        torch._foreach_lerp_(mine, list(parameters.values()), weight)
        buffers = dict(model.named_buffers())
        if buffers:
            torch._foreach_copy_([self.weights[name] for name in buffers], list(buffers.values()))

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Put the average in the model's place, and the model's own weights back afterwards."""
        own = {name: value.detach().clone() for name, value in _tensors(model)}
        self.copy_to(model)
        try:
            yield
        finally:
            _copy(own, model)

    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's weights with the average."""
        _copy(self.weights, model)

    def to(self, device: torch.device) -> None:
        """Move the average to a device."""
        self.weights = {name: value.to(device) for name, value in self.weights.items()}

    def state_dict(self) -> dict[str, object]:
        """Return the average and the number of updates."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take over what `state_dict` returned."""
        weights = state["weights"]
        assert isinstance(weights, dict)
        self.updates = int(str(state["updates"]))
        for name, mine in self.weights.items():
            mine.copy_(weights[name])


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


@torch.no_grad()
def _copy(source: dict[str, Tensor], model: nn.Module) -> None:
    for name, value in _tensors(model):
        value.copy_(source[name])

"""What a model costs: parameters, and operations for one cloud."""

from __future__ import annotations

from typing import NamedTuple

import torch

from pcmamba.models.classifier import PointClassifier, create_model
from pcmamba.nn.cost import Operations, counted


class Cost(NamedTuple):
    """Size of a model.

    Attributes:
        parameters: Trained numbers.
        operations: Multiply-adds of a forward pass over one cloud in evaluation mode.
        num_points: Points of that cloud.
    """

    parameters: int
    operations: Operations
    num_points: int


def model_cost(model: PointClassifier, num_points: int | None = None) -> Cost:
    """Count parameters and operations, by running the model on one cloud of random points.

    Args:
        model: In any mode; left in the mode it was in.
        num_points: Points of the cloud; by default what the model is trained on.
    """
    count = model.preprocessing.num_points if num_points is None else num_points
    first = next(model.parameters())
    cloud = torch.rand(1, count, 3, generator=torch.Generator().manual_seed(0))
    training = model.training
    try:
        with counted(model.eval()) as found, torch.no_grad():
            model(cloud.to(first.device, first.dtype))
    finally:
        model.train(training)
    return Cost(sum(p.numel() for p in model.parameters()), found[0], count)


def registered_cost(name: str, num_classes: int = 40, num_points: int = 1024) -> Cost:
    """Count for a registered model; see `model_cost`.

    Raises:
        NotImplementedError: The model takes no clouds.
    """
    model = create_model(name, num_classes=num_classes)
    if not isinstance(model, PointClassifier):
        raise NotImplementedError(f"name must be a model of clouds to be counted, got {name}")
    return model_cost(model, num_points)

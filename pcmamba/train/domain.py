"""Clouds are for models of clouds, events for models of events: said before anything is read."""

from __future__ import annotations

import torch

from pcmamba.models import MODELS, create_model


def check_domain(model: str, takes: str, data_set: str, holds: str) -> None:
    """Compare what a model takes with what a data set holds.

    Raises:
        ValueError: They differ; names both and the models that fit.
    """
    if takes != holds:
        raise ValueError(
            f"model must take the {holds} of data set {data_set}, got {model}, "
            f"which takes {takes}; models of {holds}: {', '.join(_models_of(holds)) or 'none'}"
        )


def domain_of(model: str) -> str:
    """Return what a registered model takes.

    Raises:
        ValueError: Unknown model.
    """
    with torch.device("meta"):
        return create_model(model, num_classes=2).domain


def _models_of(domain: str) -> list[str]:
    return [name for name in MODELS if domain_of(name) == domain]
